package jobs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

type metrics struct {
	duration   *prometheus.HistogramVec
	wait       *prometheus.HistogramVec
	processing prometheus.Histogram
	ended      *prometheus.CounterVec
	swept      prometheus.Counter
	notified   *prometheus.CounterVec
	attempts   *prometheus.HistogramVec
	steps      *prometheus.HistogramVec
	handed     *prometheus.CounterVec
	lanes      *laneCollector
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_job_duration_seconds", Help: "Duration of one run of a job.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"kind", "outcome"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_job_wait_seconds", Help: "Time that a job that could run waited for a worker.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"queue"}),
		// The name is from the architecture that Millrace replaces, so that dashboards carry over.
		processing: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "order_processing_duration_seconds", Help: "Time from placing an order to its end.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_orders_ended_total", Help: "Orders that came to rest, by status.",
		}, []string{"status"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_steps_swept_total", Help: "Stranded steps that the sweep gave a new job.",
		}),
		notified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_notifications_total", Help: "E-mails, by state.",
		}, []string{"state"}),
	}
	m.attempts = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_step_attempt_duration_seconds", Help: "Duration of one attempt at a step, its calls included.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
	}, []string{"step", "outcome"})
	m.steps = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_step_duration_seconds", Help: "Time from a step's start to its outcome.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200},
	}, []string{"step", "outcome"})
	m.handed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_steps_handed_over_total",
		Help: "Steps that the job carrying their order left to a job in their provider's queue, by reason.",
	}, []string{"step", "reason"})
	m.lanes = newLaneCollector()
	for _, state := range orders.NotificationStates() {
		if state != orders.NotificationPending {
			m.notified.WithLabelValues(string(state))
		}
	}
	if registerer != nil {
		registerer.MustRegister(
			m.duration, m.wait, m.processing, m.ended, m.swept, m.notified, m.attempts, m.steps, m.handed, m.lanes)
	}
	return m
}

// observe measures each run of each job.
func (m *metrics) observe(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	start := time.Now()
	m.wait.WithLabelValues(job.Queue).Observe(max(start.Sub(job.ScheduledAt), 0).Seconds())
	err := work(ctx)
	outcome := "retried"
	if err == nil {
		outcome = "completed"
	} else if _, ok := errors.AsType[*rivertype.JobSnoozeError](err); ok {
		outcome = "snoozed"
	} else if _, ok := errors.AsType[*rivertype.JobCancelError](err); ok {
		outcome = "cancelled"
	}
	m.duration.WithLabelValues(job.Kind, outcome).Observe(time.Since(start).Seconds())
	return err
}

// attempted measures an attempt, and returns the name of its outcome.
func (m *metrics) attempted(ctx context.Context, r result, took time.Duration) string {
	outcome := "failed"
	switch {
	case r.event.Kind != "":
		outcome = outcomeName(r.event.Kind)
	case r.err != nil && leaves(r.err):
		outcome = "not_sent"
	}
	trace.Observe(ctx, m.attempts.WithLabelValues(string(r.Step), outcome), took.Seconds())
	return outcome
}

// settled measures a step that has its outcome.
func (m *metrics) settled(o *orders.Order, e orders.Event) {
	if s := o.Step(e.Step, e.Generation); s != nil {
		m.steps.WithLabelValues(string(e.Step), outcomeName(e.Kind)).Observe(s.SettledAt.Sub(s.StartedAt).Seconds())
	}
}

func outcomeName(kind orders.EventKind) string { return strings.TrimPrefix(string(kind), "step_") }

// handedOver counts a step that is handed over.
func (m *metrics) handedOver(t task) {
	reason := "late"
	switch {
	case t.err == nil:
	case errors.Is(t.err, errLaneFull):
		reason = "lane_full"
	case errors.Is(t.err, errPaused):
		reason = "paused"
	case leaves(t.err):
		reason = "breaker_open"
	default:
		reason = "failed"
	}
	m.handed.WithLabelValues(string(t.Step), reason).Inc()
}

func (m *metrics) finished(ctx context.Context, o orders.Order) {
	trace.Observe(ctx, m.processing, o.UpdatedAt.Sub(o.PlacedAt).Seconds())
	m.ended.WithLabelValues(string(o.Status)).Inc()
}
