package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
)

const (
	vigilEvery = 5 * time.Second
	probeEvery = 3 * time.Second
	// holdsEvery is how long a lever takes to reach every process.
	holdsEvery = time.Second
)

// vigil logs, once each time that it begins, a problem that prevents verification or makes it unreliable. A later
// release has migrated the database, no process leads, or the log's upkeep fails.
func (n *node) vigil(s *store.Store) func(context.Context) {
	known := map[string]bool{}
	return func(ctx context.Context) {
		found, err := s.Verifier.Vigil(ctx)
		if err != nil {
			return // other parts report an outage of the database
		}
		still := map[string]bool{}
		for _, v := range found {
			if still[v.Check] = true; !known[v.Check] {
				n.logger.ErrorContext(ctx, "deployment check failed", "check", v.Check, "details", v.Details,
					"means", v.Means, "do", v.Do)
			}
		}
		known = still
	}
}

// watchWrites probes whether placements can be stored again: a process that is not ready gets no placements.
func (n *node) watchWrites(s *store.Store) {
	n.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "millrace_writes_refused", Help: "1 while the database refuses this process's placements.",
	}, func() float64 {
		if n.writes.Err() != nil {
			return 1
		}
		return 0
	}))
	refused := false
	n.every(probeEvery, func(ctx context.Context) {
		err := n.writes.Err()
		switch {
		case err != nil && !refused:
			n.logger.ErrorContext(ctx, "not ready, placements cannot be stored", "error", err)
		case err == nil && refused:
			n.logger.InfoContext(ctx, "placements can be stored again")
		}
		refused = err != nil
		_ = s.Orders.ProbeWrites(ctx) // a success shows in Err
	})
}

// every runs fn each period until the process stops.
func (n *node) every(period time.Duration, fn func(context.Context)) {
	n.background(func(ctx context.Context) {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for {
			fn(ctx)
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
}
