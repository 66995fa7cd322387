package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
)

const millraceTraced = "Millrace, a tenth of all orders traced"

var errNotTraced = errors.New("no spans arrived, so the measurement shows no cost of tracing")

// tracedContender exports the spans of a tenth of all orders to a collector that throws them away.
func (b *bench) tracedContender() contender {
	return contender{millraceTraced, template, func(ctx context.Context, d *database, w *world) (*system, error) {
		var exports atomic.Int64
		collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			exports.Add(1)
		}))
		p, err := b.startMillraceIn(ctx, []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
		}, d, "serve", w.args()...)
		if err != nil {
			collector.Close()
			return nil, err
		}
		return &system{millraceTraced, p, []int{p.PID()}, func() error {
			err := p.stop() // it exports what it still has
			collector.Close()
			if exports.Load() == 0 {
				err = errors.Join(err, errNotTraced)
			}
			return err
		}}, nil
	}, millraceLatencies}
}
