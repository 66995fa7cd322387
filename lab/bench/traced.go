package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

const millraceTraced = "Millrace, a tenth of all orders traced"

var errNotTraced = errors.New("no spans arrived, so the measurement shows no cost of tracing")

// tracedContender exports the spans of a tenth of all orders to a collector that throws them away.
func (b *bench) tracedContender() contender {
	return contender{millraceTraced, template, func(ctx context.Context, d *database, w *world) (*system, error) {
		var exports atomic.Int64
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		collector := &http.Server{
			ReadHeaderTimeout: stopPatience,
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				exports.Add(1)
			}),
		}
		go func() { _ = collector.Serve(listener) }()
		p, err := b.startMillraceIn(ctx, []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + listener.Addr().String(),
			"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1",
		}, d, "serve", w.args()...)
		if err != nil {
			return nil, errors.Join(err, collector.Close())
		}
		return &system{millraceTraced, p, []int{p.PID()}, func() error {
			err := errors.Join(p.stop(), collector.Close()) // a process that stops exports what it still has
			if exports.Load() == 0 {
				err = errors.Join(err, errNotTraced)
			}
			return err
		}}, nil
	}, millraceLatencies}
}
