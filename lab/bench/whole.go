package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	wholeSection     = "Whole orders, from placing to completed"
	wholeConnections = 64
	// wholeWindow is how many orders are under way at a time: enough that no worker is idle, and no more than a second or
	// two of work.
	wholeWindow = 1024

	slowProviders = 20 * time.Millisecond
)

func latencyLabel(latency time.Duration) string {
	return fmt.Sprintf("providers take %d ms", latency.Milliseconds())
}

// contender is a system that carries whole orders to their end.
type contender struct {
	name string
	from string // the template of its database
	// start starts it on the database, with the providers of the world.
	start func(ctx context.Context, d *database, w *world) (*system, error)
	// latencies is a query for the milliseconds that each completed order took.
	latencies string
}

// system is a running contender.
type system struct {
	name      string
	api       *process
	processes []int // all of its processes, without Postgres
	stop      func() error
}

const (
	millraceLatencies = `SELECT extract(epoch FROM e.at - o.placed_at) * 1000 FROM millrace.orders o
		JOIN millrace.order_events e ON e.order_id = o.id AND e.status = 'completed' AND e.status_changed`
	baselineLatencies = `SELECT extract(epoch FROM completed_at - placed_at) * 1000 FROM orders`
)

// measureWhole places orders for a while, keeps a window of them under way, and waits until all are completed. The rate
// is of the whole time: from the first placement to the last completion.
func (b *bench) measureWhole(ctx context.Context, c contender, latency time.Duration) error {
	return b.measureWholeAs(ctx, c, latency, wholeSection, latencyLabel(latency))
}

// measureWholeAs is measureWhole for a row of any section.
func (b *bench) measureWholeAs(
	ctx context.Context, c contender, latency time.Duration, section, condition string,
) (err error) {
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
	maker := new(orderMaker)
	values, err := b.carry(ctx, d, w, s, maker)
	if err = errors.Join(err, s.api.Alive(), s.stop()); err != nil {
		return err
	}
	total, err := d.commits(ctx)
	name := wholeName(c.name, condition)
	if err = errors.Join(err, b.saveStatements(ctx, d, name, maker.placed.Load())); err != nil {
		return err
	}
	values[commits] = float64(total) / float64(maker.placed.Load())
	values[p50], values[p99], err = d.latencies(ctx, c.latencies)
	if err := errors.Join(err, d.checkPlaced(ctx, maker), w.check(maker.placed.Load(), maker.cents.Load())); err != nil {
		return err
	}
	b.results.add(section, c.name, condition, values)
	return nil
}

// carry returns when all orders are done.
func (b *bench) carry(
	ctx context.Context, d *database, w *world, s *system, maker *orderMaker,
) (map[string]float64, error) {
	m, err := startMeter(ctx, d, s.processes...)
	if err != nil {
		return nil, err
	}
	profiled := b.profile(ctx, s.api, "whole "+s.name, b.whole)
	began := time.Now()
	if err := place(ctx, s.api.API, maker, w, began.Add(b.whole)); err != nil {
		return nil, err
	}
	if err := d.awaitCompleted(ctx, w, maker.placed.Load(), began); err != nil {
		return nil, err
	}
	elapsed := time.Since(began)
	if err := errors.Join(w.awaitEmails(ctx, maker.placed.Load()), profiled()); err != nil {
		return nil, err
	}
	values, err := m.read(ctx, int(maker.placed.Load()))
	if err != nil {
		return nil, err
	}
	values[rate] = float64(maker.placed.Load()) / elapsed.Seconds()
	return values, nil
}

// place places orders until the end, but never has more under way than the window.
func place(ctx context.Context, addr string, maker *orderMaker, w *world, end time.Time) error {
	group, ctx := errgroup.WithContext(ctx)
	for range wholeConnections {
		one, free, err := placer(ctx, addr, maker)
		if err != nil {
			return err
		}
		defer free()
		group.Go(func() error {
			for time.Now().Before(end) {
				if maker.placed.Load()-w.shipments.Load() > wholeWindow-wholeConnections {
					if err := launch.Pause(ctx, time.Millisecond); err != nil {
						return err
					}
					continue
				}
				if err := one(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// awaitCompleted waits for the orders that were placed since a moment. It first asks the providers whether the last
// order is shipped, which costs the contender nothing, and only then reads the database.
func (d *database) awaitCompleted(ctx context.Context, w *world, placed int64, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	for {
		var completed int64
		if w.shipments.Load() >= placed {
			// All contenders' ids are UUIDv7, which begin with the time.
			first := fmt.Sprintf("%012x0000", since.UnixMilli()) + "0000000000000000"
			err := d.query(ctx, "SELECT count(*) FROM orders WHERE status = 'completed' AND id > '"+first+"'", &completed)
			if err != nil || completed == placed {
				return err
			}
		}
		if err := launch.Pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("of %d orders %d are shipped and %d completed: %w",
				placed, w.shipments.Load(), completed, err)
		}
	}
}

func (d *database) latencies(ctx context.Context, sql string) (half, most float64, err error) {
	err = d.query(ctx, "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ms), "+
		"percentile_cont(0.99) WITHIN GROUP (ORDER BY t.ms) FROM ("+sql+") t (ms)", &half, &most)
	return half, most, err
}

func wholeName(contender, condition string) string {
	return "whole orders, " + contender + ", " + condition
}

// wholeOrders lists the measurements of whole orders.
func (b *bench) wholeOrders(contenders []contender) (all []measurement) {
	for _, latency := range []time.Duration{0, slowProviders} {
		for _, c := range contenders {
			all = append(all, measurement{wholeName(c.name, latencyLabel(latency)), func(ctx context.Context) error {
				return b.measureWhole(ctx, c, latency)
			}})
		}
	}
	return slices.Clip(all)
}
