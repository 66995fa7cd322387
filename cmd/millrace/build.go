package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo is a metric that is always 1. Its labels say which program runs, and as what.
func buildInfo(c nodeConfig) prometheus.Collector {
	role := "all"
	switch {
	case c.work == nil:
		role = "api"
	case c.api == nil:
		role = "work"
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_build_info", Help: "1; the labels are the version of the program and what the process does.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version(), "role": role},
	}, func() float64 { return 1 })
}
