package main

import (
	"fmt"
	"strings"
)

// expectations returns a table of the usual expectations of such systems, and of this system's results under the steady
// load.
func (r *results) expectations() string {
	if r.find(point{steadySection, placing, steadyLoad, p99}) == nil {
		return ""
	}
	at := func(contender, metric string) float64 {
		if s := r.find(point{steadySection, contender, steadyLoad, metric}); s != nil {
			return s.median()
		}
		return 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Under %s.\n\n| | expected | measured |\n| --- | ---: | ---: |\n", steadyLoad)
	fmt.Fprintf(&b, "| order creation | < 200 ms | p50 %s ms, p99 %s ms |\n",
		number(at(placing, p50)), number(at(placing, p99)))
	fmt.Fprintf(&b, "| background processing, per order | < 5 s | p50 %s s, p99 %s s |\n",
		number(at(processing, p50)/thousand), number(at(processing, p99)/thousand))
	fmt.Fprintf(&b, "| concurrent orders | 100+ | %d, all completed |\n", steadyCallers)
	fmt.Fprintf(&b, "| memory | < 200 MB | %s MB |\n", number(at(wholeProcess, memoryMB)))
	fmt.Fprintf(&b, "| processor, of all cores | < 50 %% | %s %% |\n", number(at(wholeProcess, cpuPercent)))
	return b.String()
}
