package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	loneSection = "Lone orders, each placed with Prefer: wait and answered when it is completed"
	loneOrders  = 200
	lonePause   = 20 * time.Millisecond
)

func loneName(contender, condition string) string {
	return "lone orders, " + contender + ", " + condition
}

// lones lists the measurements of lone orders.
func (b *bench) lones() (all []measurement) {
	for _, latency := range []time.Duration{0, slowProviders} {
		for _, c := range b.versions() {
			all = append(all, measurement{loneName(c.name, latencyLabel(latency)), func(ctx context.Context) error {
				return b.measureLone(ctx, c, latency)
			}})
		}
	}
	return append(all, measurement{"where an order's time goes", b.measureJourney})
}

// measureLone places one order after the other, with nothing else to do. The caller waits for the end of each.
func (b *bench) measureLone(ctx context.Context, c contender, latency time.Duration) (err error) {
	d, err := b.cluster.database(ctx, c.from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	w, err := openWorld(ctx, latency)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	s, err := c.start(ctx, d, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	maker := new(orderMaker)
	conn, err := dial(ctx, s.api.API)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	const warm = 10
	var took []time.Duration
	for i := range loneOrders + warm {
		o := maker.make("Prefer: wait=10\r\n")
		began := time.Now()
		status, _, err := conn.exchange(o.request)
		if err != nil {
			return err
		}
		if status != http.StatusAccepted && status != http.StatusCreated && status != http.StatusOK {
			return fmt.Errorf("place order: answered %d", status)
		}
		if i >= warm {
			took = append(took, time.Since(began))
		}
		maker.accepted(o)
		if err := launch.Pause(ctx, lonePause); err != nil {
			return err
		}
	}
	slices.Sort(took)
	b.results.add(loneSection, c.name, latencyLabel(latency), map[string]float64{
		p50: quantile(took, 0.5), p99: quantile(took, 0.99),
	})
	return w.awaitEmails(ctx, maker.placed.Load())
}
