package main

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watchedMetrics are the metrics that trouble shows in, with the labels that keep their series apart.
func watchedMetrics() map[string][]string {
	return map[string][]string{
		"millrace_overload_total":                    {},
		"millrace_database_errors_total":             {"class"},
		"millrace_feed_behind_seconds":               {},
		"millrace_feed_event_age_seconds":            {},
		"millrace_http_request_duration_seconds":     {"operation", "code"},
		"order_requests_total":                       {"action", "status"},
		"millrace_notifications_total":               {"state"},
		"millrace_upstream_request_duration_seconds": {"outcome", "provider"},
		"millrace_step_duration_seconds":             {"outcome", "step"},
		"millrace_webhook_deliveries_given_up_total": {"state"},
		"millrace_webhooks_disabled_total":           {"reason"},
		"millrace_webhook_log_expired_total":         {},
		"millrace_panics_total":                      {},
		"millrace_commit_panics_total":               {},
		"process_resident_memory_bytes":              {},
		"millrace_clock_skew_seconds":                {},
	}
}

// bounds are the buckets that count as in time, by the histogram.
func bounds() map[string]float64 {
	return map[string]float64{"millrace_http_request_duration_seconds": 0.25, "millrace_feed_event_age_seconds": 1}
}

// counts has the watched metrics at a moment. A name is that of the metric with the values of its labels, as in
// millrace_database_errors_total/lock. A histogram has the number of its observations, and below its name with a <
// those in time.
type counts struct {
	at time.Time
	by map[string]float64
}

// readCounts reads the watched metrics. Series that differ in other labels are added up.
func readCounts(gatherer prometheus.Gatherer, at time.Time) counts {
	c := counts{at, map[string]float64{}}
	watched, inTime := watchedMetrics(), bounds()
	families, _ := gatherer.Gather() // a metric that cannot be read now is missing
	for _, family := range families {
		labels, known := watched[family.GetName()]
		if !known {
			continue
		}
		for _, m := range family.GetMetric() {
			parts := []string{family.GetName()}
			for _, wanted := range labels {
				for _, label := range m.GetLabel() {
					if label.GetName() == wanted {
						parts = append(parts, label.GetValue())
					}
				}
			}
			name := strings.Join(parts, "/")
			histogram := m.GetHistogram()
			c.by[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(histogram.GetSampleCount())
			for _, b := range histogram.GetBucket() {
				if b.GetUpperBound() == inTime[family.GetName()] {
					c.by[name+"<"] += float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return c
}

// since returns by how much the counts have grown since earlier ones.
func (c counts) since(earlier counts) counts {
	grown := counts{c.at, make(map[string]float64, len(c.by))}
	for name, n := range c.by {
		grown.by[name] = n - earlier.by[name]
	}
	return grown
}

// sum adds up the series whose names begin with a text. Those that end in < are others.
func (c counts) sum(prefix string) (sum float64) {
	for name, n := range c.by {
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, "<") {
			sum += n
		}
	}
	return sum
}

// inTime adds up the observations in time of the histograms whose names begin with a text.
func (c counts) inTime(prefix string) (sum float64) {
	for name, n := range c.by {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "<") {
			sum += n
		}
	}
	return sum
}

// values lists the last label of the series whose names begin with a text, and that have grown.
func (c counts) values(prefix string) map[string]float64 {
	values := map[string]float64{}
	for name, n := range c.by {
		if value, ok := strings.CutPrefix(name, prefix); ok && n > 0 && !strings.HasSuffix(name, "<") {
			values[value] += n
		}
	}
	return values
}
