package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The picture's measures, in pixels.
const (
	pictureWidth = 860
	labelWidth   = 390
	valueWidth   = 90
	barHeight    = 18
	barStep      = 24
	titleStep    = 34
	margin       = 16
)

// chart is one group of bars: the rates of all contenders under one condition.
type chart struct{ title, section, condition string }

func charts() []chart {
	return []chart{
		{"Orders accepted over HTTP a second, 64 connections", intakeSection, connectionsLabel(64)},
		{"Whole orders a second, providers answer at once", wholeSection, latencyLabel(0)},
		{"Whole orders a second, providers take 20 ms", wholeSection, latencyLabel(slowProviders)},
		{"Cached GETs of an order a second, 64 connections", getSection, connectionsLabel(getConnections)},
		{"Jobs that do nothing, a second", jobsSection, ""},
	}
}

// picture returns the rates as bars, in SVG. A bar is the median, and the line on it the spread.
func (r *results) picture() string {
	var b strings.Builder
	y := margin
	for _, c := range charts() {
		bars := r.bars(c)
		if len(bars) == 0 {
			continue
		}
		y += titleStep
		fmt.Fprintf(&b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", margin, y-12, html.EscapeString(c.title))
		largest := 0.0
		for _, s := range bars {
			largest = max(largest, slices.Max(s.Values))
		}
		for _, s := range bars {
			b.WriteString(bar(s, y, largest))
			y += barStep
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" role="img"
 viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d">
<title>What Millrace and others do in a second on this machine</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.label { text-anchor: end }
.ours { fill: #1a7f64 } .theirs { fill: #8c959f }
line { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } line { stroke: #e6edf3 } }
</style>
%[3]s</svg>
`, pictureWidth, y+margin, b.String())
}

// bars returns the series of a chart in the order in which they were first measured.
func (r *results) bars(c chart) (bars []*series) {
	for _, s := range r.Series {
		if s.Section == c.section && s.Condition == c.condition && s.Metric == rate {
			bars = append(bars, s)
		}
	}
	return bars
}

func bar(s *series, y int, largest float64) string {
	scale := float64(pictureWidth-labelWidth-valueWidth-margin) / largest
	class := "theirs"
	if strings.HasPrefix(s.Contender, millrace) {
		class = "ours"
	}
	middle := y + barHeight/2
	low, high := slices.Min(s.Values)*scale, slices.Max(s.Values)*scale
	return fmt.Sprintf(`<text class="label" x="%d" y="%d">%s</text>`+
		`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`+
		`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text x="%.1f" y="%d">%s</text>`+"\n",
		labelWidth-8, middle+5, html.EscapeString(s.Contender), class, labelWidth, y, s.median()*scale, barHeight,
		labelWidth+low, middle, labelWidth+high, middle, labelWidth+high+8, middle+5, number(s.median()))
}
