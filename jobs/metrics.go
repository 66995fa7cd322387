package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/orders"
)

type metrics struct {
	duration   *prometheus.HistogramVec
	wait       *prometheus.HistogramVec
	processing prometheus.Histogram
	ended      *prometheus.CounterVec
	swept      prometheus.Counter
	notified   *prometheus.CounterVec
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
	for _, state := range orders.NotificationStates() {
		if state != orders.NotificationPending {
			m.notified.WithLabelValues(string(state))
		}
	}
	if registerer != nil {
		registerer.MustRegister(m.duration, m.wait, m.processing, m.ended, m.swept, m.notified)
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

func (m *metrics) finished(o orders.Order) {
	m.processing.Observe(o.UpdatedAt.Sub(o.PlacedAt).Seconds())
	m.ended.WithLabelValues(string(o.Status)).Inc()
}
