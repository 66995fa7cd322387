package jobs

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
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
			Name: "millrace_webhook_deliveries_given_up_total", Help: "Messages that were given up, by state.",
		}, []string{"state"}),
		disabled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_webhooks_disabled_total", Help: "Webhooks that Millrace disabled, by reason.",
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

// sent measures one attempt.
func (m *webhookMetrics) sent(ctx context.Context, outcome webhook.Outcome) {
	trace.Observe(ctx, m.duration.WithLabelValues(outcomeOfSend(outcome)), outcome.Took.Seconds())
}

// outcomeOfSend names the outcome of an attempt.
func outcomeOfSend(outcome webhook.Outcome) string {
	switch {
	case outcome.Delivered:
		return "delivered"
	case outcome.Blocked:
		return "blocked"
	case outcome.Status == 0:
		return "unanswered"
	}
	return "failed"
}

// recorded counts a message that was given up.
func (m *webhookMetrics) recorded(state store.DeliveryState) {
	if state == store.DeliveryFailed || state == store.DeliveryBlocked {
		m.given.WithLabelValues(string(state)).Inc()
	}
}
