package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

// metrics are the Prometheus metrics of calls. No label contains an id.
type metrics struct {
	duration *prometheus.HistogramVec
	breaker  *prometheus.GaugeVec
	refused  *refusals
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		refused: newRefusals(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_upstream_request_duration_seconds",
			Help: "Calls to providers: ok, refused, unavailable, misconfigured, uncertain, open (not made) or cancelled " +
				"(by us). Questions about an earlier call have the step ask; stock lists have the step stock.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"provider", "step", "outcome"}),
		breaker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_breaker_state",
			Help: "Circuit breaker of a provider: 0 closed, 1 half-open, 2 open.",
		}, []string{"provider"}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.duration), r.Register(m.breaker), r.Register(m.refused.total))
}

func (m *metrics) observe(ctx context.Context, p orders.Provider, step string, err error, took time.Duration) {
	trace.Observe(ctx, m.duration.WithLabelValues(string(p), step, outcome(err)), took.Seconds())
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		m.refused.count(step, refused.Code)
	}
}

func (m *metrics) setBreaker(p orders.Provider, s gobreaker.State) {
	value := map[gobreaker.State]float64{gobreaker.StateClosed: 0, gobreaker.StateHalfOpen: 1, gobreaker.StateOpen: 2}
	m.breaker.WithLabelValues(string(p)).Set(value[s])
}

// isFailure reports whether a call failed. A refusal is a provider's answer.
func isFailure(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	return err != nil && !refused
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return "refused"
	}
	if _, ok := errors.AsType[*UnavailableError](err); ok {
		return "unavailable"
	}
	if _, ok := errors.AsType[*MisconfiguredError](err); ok {
		return "misconfigured"
	}
	if _, ok := errors.AsType[*UncertainError](err); ok {
		return "uncertain"
	}
	if errors.Is(err, ErrNoStock) {
		return "ok" // a provider's answer
	}
	if _, ok := errors.AsType[*OpenError](err); ok {
		return "open"
	}
	return "cancelled" // no other error exists
}
