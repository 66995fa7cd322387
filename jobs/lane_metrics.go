package jobs

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
)

// laneCollector exports how full the lanes are.
type laneCollector struct {
	lanes map[orders.Provider]*lane
	steps *prometheus.Desc
}

func newLaneCollector() *laneCollector {
	return &laneCollector{steps: prometheus.NewDesc("millrace_lane_steps",
		"Steps in the lane of a provider in this process: calling it, or waiting for room.",
		[]string{"provider", "state"}, nil)}
}

// observeLanes makes the lanes known.
func (m *metrics) observeLanes(lanes map[orders.Provider]*lane) { m.lanes.lanes = lanes }

// Describe implements prometheus.Collector.
func (c *laneCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.steps }

// Collect implements prometheus.Collector.
func (c *laneCollector) Collect(ch chan<- prometheus.Metric) {
	for provider, lane := range c.lanes {
		used, waiting := lane.occupancy()
		ch <- prometheus.MustNewConstMetric(c.steps, prometheus.GaugeValue, float64(used), string(provider), "calling")
		ch <- prometheus.MustNewConstMetric(c.steps, prometheus.GaugeValue, float64(waiting), string(provider), "waiting")
	}
}
