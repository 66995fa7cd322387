package jobs

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/webhook"
)

type webhookMetrics struct {
	duration *prometheus.HistogramVec
	given    *prometheus.CounterVec
	disabled *prometheus.CounterVec
}

func newWebhookMetrics(registerer prometheus.Registerer) *webhookMetrics {
	m := &webhookMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_webhook_request_duration_seconds", Help: "Duration of one attempt to send a message.",
			Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"outcome"}),
		given: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_dead_letters_total", Help: "Messages that were given up, by state.",
		}, []string{"state"}),
		disabled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhook_endpoints_disabled_total", Help: "Endpoints that Millrace disabled, by reason.",
		}, []string{"reason"}),
	}
	// An alert sees a counter rise only if the counter was there before.
	for _, state := range []store.DeliveryState{store.DeliveryFailed, store.DeliveryBlocked} {
		m.given.WithLabelValues(string(state))
	}
	for _, reason := range []store.DisabledReason{store.DisabledGone, store.DisabledFailing} {
		m.disabled.WithLabelValues(string(reason))
	}
	for _, outcome := range []string{"delivered", "failed", "unanswered", "blocked"} {
		m.duration.WithLabelValues(outcome)
	}
	if registerer != nil {
		registerer.MustRegister(m.duration, m.given, m.disabled)
	}
	return m
}

// observe measures one attempt and the state of its message after it.
func (m *webhookMetrics) observe(outcome webhook.Outcome, state store.DeliveryState) {
	label := "failed"
	switch {
	case outcome.Delivered:
		label = "delivered"
	case outcome.Blocked:
		label = "blocked"
	case outcome.Status == 0:
		label = "unanswered"
	}
	m.duration.WithLabelValues(label).Observe(outcome.Took.Seconds())
	if state == store.DeliveryFailed || state == store.DeliveryBlocked {
		m.given.WithLabelValues(string(state)).Inc()
	}
}
