package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestTroubles: each kind of trouble is found in the metrics that its alert reads, and is over some time later.
func TestTroubles(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../../docs/runbook.md")
	require.NoError(t, err)
	const requests, calls = "millrace_http_request_duration_seconds", "millrace_upstream_request_duration_seconds"
	placements := func(code string) []string { return []string{"operation", "placeOrder", "code", code} }
	type rise struct {
		metric string
		labels []string // name, value, name, value
		by     []float64
	}
	counter := func(n float64, metric string, labels ...string) rise { return rise{metric, labels, []float64{n}} }
	for alert, tt := range map[string]struct {
		rises []rise
		text  string
		less  int // as many less of the first are not enough
	}{
		"MillraceOverloaded": {[]rise{counter(7, "millrace_overload_total")}, "turned 7 requests away", 7},
		"MillraceIntakeErrorsFast": {[]rise{
			counter(3, "order_requests_total", "action", "create", "status", "error"),
			{requests, placements("503"), []float64{.1, .1, .1}},
			{requests, placements("202"), []float64{.1, .1}},
			{requests, []string{"operation", "getOrder", "code", "503"}, []float64{.1, .1}},
		}, "answered 3 of 5 placements 5xx", 0},
		"MillraceIntakeLatencyFast": {[]rise{
			{requests, placements("202"), []float64{.1, .1, .1, .3, 2}},
			{requests, placements("503"), []float64{5}},
		}, "longer than 250 ms for 2 of 5", 0},
		"MillraceDatabaseUnavailable": {[]rise{
			counter(3, "millrace_database_errors_total", "class", "unavailable", "pool", "api"),
		}, "broke off 3 times", 1},
		"MillraceDatabaseSlow": {[]rise{
			counter(2, "millrace_database_errors_total", "class", "lock", "pool", "api"),
			counter(1, "millrace_database_errors_total", "class", "busy", "pool", "work"),
		}, "1 busy, 2 lock", 1},
		"MillraceDatabaseRefuses": {[]rise{
			counter(1, "millrace_database_errors_total", "class", "read_only", "pool", "api"),
		}, "Postgres takes no writes", 1},
		"MillraceProviderMisconfigured": {[]rise{
			{calls, []string{"provider", "payment", "step", "ask", "outcome", "misconfigured"}, []float64{1}},
		}, "payment provider answered within the last minute as if the URL or the token were wrong: 1.", 0},
		"MillraceProviderRefuses": {[]rise{
			{"millrace_step_duration_seconds", []string{"step", "reserve_inventory", "outcome", "refused"}, []float64{1, 1, 1}},
			{"millrace_step_duration_seconds", []string{"step", "reserve_inventory", "outcome", "succeeded"}, []float64{1, 1}},
			{"millrace_step_duration_seconds", []string{"step", "capture_payment", "outcome", "succeeded"}, []float64{1, 1, 1}},
		}, "refused 3 of 5 times to reserve inventory", 0},
		"MillraceMailFailing": {[]rise{
			counter(1, "millrace_notifications_total", "state", "refused"),
			counter(9, "millrace_notifications_total", "state", "sent"),
		}, "1 of 10 e-mails", 1},
		"MillraceWebhooksGivenUp": {[]rise{
			counter(2, "millrace_webhook_deliveries_given_up_total", "state", "blocked"),
		}, "2 blocked", 2},
		"MillraceWebhookDisabled": {[]rise{
			counter(1, "millrace_webhooks_disabled_total", "reason", "gone"),
		}, "1 gone", 1},
		"MillraceWebhookEventsLost": {[]rise{counter(1, "millrace_webhook_log_expired_total")}, "missed events", 1},
		"MillraceFeedBehind":        {[]rise{counter(11, "millrace_feed_behind_seconds")}, "for 11 s", 2},
		"MillraceFreshnessFast": {[]rise{
			{"millrace_feed_event_age_seconds", nil, []float64{.1, .1, .1, .1, 2}},
		}, "1 of 5 events", 0},
		"MillracePanics":     {[]rise{counter(1, "millrace_commit_panics_total", "part", "api")}, "15 minutes: 1.", 1},
		"MillraceMemoryHigh": {[]rise{counter(1.23e9, "process_resident_memory_bytes")}, "1.2 GB", 0.5e9},
		"MillraceClockSkew":  {[]rise{counter(2.5, "millrace_clock_skew_seconds")}, "2.5s ahead", 1},
	} {
		t.Run(alert, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(runbook), "\n### "+alert+"\n")
			found := func(less int) []string {
				registry := prometheus.NewRegistry()
				gauges, histograms := map[string]*prometheus.GaugeVec{}, map[string]*prometheus.HistogramVec{}
				set := func(r rise, zero bool) {
					labels, names := prometheus.Labels{}, []string{}
					for i := 0; i < len(r.labels); i += 2 {
						labels[r.labels[i]], names = r.labels[i+1], append(names, r.labels[i])
					}
					if len(r.by) == 1 && !strings.Contains(r.metric, "duration") && !strings.HasSuffix(r.metric, "age_seconds") {
						if gauges[r.metric] == nil {
							gauges[r.metric] = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: r.metric, Help: "h"}, names)
							registry.MustRegister(gauges[r.metric])
						}
						if g := gauges[r.metric].With(labels); !zero {
							g.Set(r.by[0])
						}
						return
					}
					if histograms[r.metric] == nil {
						histograms[r.metric] = prometheus.NewHistogramVec(prometheus.HistogramOpts{
							Name: r.metric, Help: "h", Buckets: []float64{.25, 1},
						}, names)
						registry.MustRegister(histograms[r.metric])
					}
					if h := histograms[r.metric].With(labels); !zero {
						for _, seconds := range r.by {
							h.Observe(seconds)
						}
					}
				}
				now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
				look := newTroubles(registry, func() error { return nil }, func() time.Time { return now })
				for _, r := range tt.rises {
					set(r, true)
				}
				look.look(t.Context())
				require.Empty(t, look.latest())
				for i, r := range tt.rises {
					if i == 0 {
						r.by = append([]float64{r.by[0] - float64(less)}, r.by[1:]...)
					}
					set(r, false)
				}
				now = now.Add(time.Second)
				look.look(t.Context())
				first := look.latest()
				if len(first) == 0 {
					return nil
				}
				for _, gauge := range gauges { // what is measured now is right again
					if strings.HasSuffix(tt.rises[0].metric, "_seconds") || strings.HasSuffix(tt.rises[0].metric, "_bytes") {
						gauge.WithLabelValues().Set(0)
					}
				}
				for range 2 * int(lately/keepEvery) {
					now = now.Add(keepEvery)
					look.look(t.Context())
				}
				require.Empty(t, look.latest(), "it is over")
				var list []string
				for _, trouble := range first {
					list = append(list, trouble.Alert+": "+trouble.Text)
				}
				return list
			}
			enough := found(0)
			require.Len(t, enough, 1)
			require.Regexp(t, "^"+alert+": ", enough[0])
			require.Contains(t, enough[0], tt.text)
			if tt.less > 0 {
				require.Empty(t, found(tt.less))
			}
		})
	}
}

// A process that cannot store placements says why, in a text that is bounded.
func TestWritesRefusedIsTrouble(t *testing.T) {
	t.Parallel()
	refused := errors.New("could not extend\n\tfile " + strings.Repeat("ä", 1000) + "\xff")
	look := newTroubles(prometheus.NewRegistry(), func() error { return refused }, time.Now)
	look.look(t.Context())
	found := look.latest()
	require.Len(t, found, 1)
	require.Equal(t, "MillraceWritesRefused", found[0].Alert)
	require.Contains(t, found[0].Text, "could not extend file ä")
	require.Len(t, []rune(found[0].Text), mostTroubleText)
}

// Every metric that is watched is a documented one.
func TestWatchedMetrics(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	for name := range watchedMetrics() {
		if !strings.HasPrefix(name, "process_") {
			require.Contains(t, string(document), "| `"+name+"` |")
		}
	}
}
