package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/trace"
)

// noOperation labels requests that matched no route. With the path as the label, every guess would make a series.
const noOperation = "none"

type metrics struct {
	duration *prometheus.HistogramVec
	requests *prometheus.CounterVec
	inFlight prometheus.Gauge
	streams  prometheus.Gauge
	panics   prometheus.Counter
	limited  *prometheus.CounterVec
	overload prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_http_request_duration_seconds",
			Help: "Time from the request's header to the end of the answer, without event streams and waiting placements.",
			Buckets: []float64{
				.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5,
			},
		}, []string{"operation", "code"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "order_requests_total", Help: "Requests about orders.",
		}, []string{"action", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_http_requests_in_flight",
			Help: "Requests being answered, without event streams and waiting placements.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_streams", Help: "Open event streams, and requests that wait.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_panics_total", Help: "Panics of request handlers.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_rate_limited_total", Help: "Requests refused because their sender sent too many.",
		}, []string{"subject"}),
		overload: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_overload_total", Help: "Requests turned away because too many were in flight.",
		}),
	}
	for _, subject := range []string{"principal", "address"} {
		m.limited.WithLabelValues(subject)
	}
	if registerer != nil {
		registerer.MustRegister(m.duration, m.requests, m.inFlight, m.streams, m.panics, m.limited, m.overload)
	}
	return m
}

// measured counts a request when it ends. Event streams and waiting placements leave the count when they begin: how
// long they stay open does not measure the server.
func (m *metrics) measured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, ctx := time.Now(), r.Context()
		x := exchangeOf(ctx)
		m.inFlight.Inc()
		defer func() {
			code := status(x.recorder)
			if x.declared != nil && x.declared.action != "" {
				m.requests.WithLabelValues(x.declared.action, orderOutcome(code, x.stopped)).Inc()
			}
			if x.streaming {
				return
			}
			m.inFlight.Dec()
			operation := x.operation
			if operation == "" {
				operation = noOperation
			}
			took := time.Since(start).Seconds()
			trace.Observe(ctx, m.duration.WithLabelValues(operation, strconv.Itoa(code)), took)
		}()
		next.ServeHTTP(w, r)
	})
}

// orderOutcome names the outcome of a request about orders. A stopped intake is an operator's decision and no error: an
// alert on errors would page for it.
func orderOutcome(code int, stopped bool) string {
	switch {
	case stopped:
		return "stopped"
	case code < http.StatusBadRequest:
		return "success"
	case code == http.StatusNotFound:
		return "not_found"
	case code == http.StatusConflict:
		return "conflict"
	case code == http.StatusTooManyRequests:
		return "rate_limited"
	case code == http.StatusUnauthorized || code == problems.StatusClientGone || code >= http.StatusInternalServerError:
		return "error"
	default:
		return "validation_error"
	}
}
