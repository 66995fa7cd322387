package trace

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Observe observes a value. If the context's span is sampled, the value has the trace as its exemplar, so that a reader
// of a slow bucket finds a request in it.
func Observe(ctx context.Context, o prometheus.Observer, value float64) {
	at := oteltrace.SpanContextFromContext(ctx)
	if exemplars, ok := o.(prometheus.ExemplarObserver); ok && at.IsSampled() && at.IsValid() {
		exemplars.ObserveWithExemplar(value, prometheus.Labels{FieldTrace: at.TraceID().String()})
		return
	}
	o.Observe(value)
}
