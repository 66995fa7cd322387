package main

import (
	"fmt"
	"html"
	"strings"
)

// The picture's measures, in pixels.
const (
	width      = 900
	namesWidth = 330
	timeWidth  = 70
	rowHeight  = 24
	barHeight  = 12
	indent     = 16
	margin     = 12
)

// draw returns the trace as SVG: a line for each span, below the one that caused it, and a bar for its time.
func (t trace) draw() string {
	lines := t.lines()
	began, ended := lines[0].StartTime, int64(0)
	for _, l := range lines {
		ended = max(ended, l.StartTime+l.Duration)
	}
	scale := float64(width-namesWidth-timeWidth-2*margin) / float64(max(1, ended-began))
	var b strings.Builder
	for i, l := range lines {
		y := margin + i*rowHeight
		x := float64(margin+namesWidth) + float64(l.StartTime-began)*scale
		long := max(2, float64(l.Duration)*scale)
		if i%2 == 0 {
			fmt.Fprintf(&b, `<rect class="row" x="0" y="%d" width="%d" height="%d"/>`+"\n", y, width, rowHeight)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", margin+l.depth*indent, y+16, html.EscapeString(l.OperationName))
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
			x, y+(rowHeight-barHeight)/2, long, barHeight)
		fmt.Fprintf(&b, `<text class="time" x="%d" y="%d">%.1f ms</text>`+"\n", width-margin, y+16, float64(l.Duration)/1000)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" role="img"
 viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d">
<title>The trace of one order, as Jaeger answers it</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.time { text-anchor: end }
.row { fill: #8881 }
.bar { fill: #1a7f37 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #3fb950 } }
</style>
%[3]s</svg>
`, width, 2*margin+len(lines)*rowHeight, b.String())
}
