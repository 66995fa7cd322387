package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

const intakeSection = "Intake"

// intakeConnections lists the numbers of callers that place orders at a time.
func intakeConnections() []int { return []int{1, 16, 64, 256} }

func connectionsLabel(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return strconv.Itoa(n) + " connections"
}

// measureIntake places orders over HTTP in a Millrace without workers, so that it measures intake alone.
func (b *bench) measureIntake(ctx context.Context, contender string, connections int) (err error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	p, err := b.startMillrace(ctx, d, "api", alone(contender)...)
	if err != nil {
		return err
	}
	maker := new(orderMaker)
	l, values, err := b.place(ctx, d, p, maker, connections)
	if err = errors.Join(err, p.Alive(), p.stop()); err != nil {
		return err
	}
	total, err := d.commits(ctx)
	if err = errors.Join(err, b.saveStatements(ctx, d, intakeName(contender, connections), int64(l.all))); err != nil {
		return err
	}
	values[commits] = float64(total) / float64(l.all)
	if err := d.checkPlaced(ctx, maker); err != nil {
		return err
	}
	b.results.add(intakeSection, contender, connectionsLabel(connections), values)
	return nil
}

// place runs a closed loop of callers that place orders.
func (b *bench) place(
	ctx context.Context, d *database, p *process, maker *orderMaker, connections int,
) (load, map[string]float64, error) {
	m, err := startMeter(ctx, d, p.PID())
	if err != nil {
		return load{}, nil, err
	}
	profiled := b.profile(ctx, p, fmt.Sprintf("intake %d", connections), b.span.measured)
	l, err := run(ctx, connections, b.span, func(ctx context.Context) (call, func(), error) {
		return placer(ctx, p.API, maker)
	})
	if err = errors.Join(err, profiled()); err != nil {
		return l, nil, err
	}
	values, err := m.read(ctx, l.all)
	if err != nil {
		return l, nil, err
	}
	values[rate], values[p50], values[p99] = l.rate(), l.quantile(0.5), l.quantile(0.99)
	return l, values, nil
}

// placer returns a caller that places orders over its own connection.
func placer(ctx context.Context, addr string, maker *orderMaker) (call, func(), error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	place := func(context.Context) error {
		o := maker.make("")
		if _, err := conn.expect(http.StatusAccepted, o.request); err != nil {
			return fmt.Errorf("place order: %w", err)
		}
		maker.accepted(o)
		return nil
	}
	return place, func() { _ = conn.Close() }, nil
}

func intakeName(contender string, connections int) string {
	return "intake, " + contender + ", " + connectionsLabel(connections)
}

// checkPlaced compares the stored orders with the accepted ones. The baselines' tables have the same names in another
// schema.
func (d *database) checkPlaced(ctx context.Context, maker *orderMaker) error {
	var placed, cents, items int64
	err := d.query(ctx, `SELECT count(*), coalesce(sum(total_minor), 0)::bigint,
		(SELECT count(*) FROM order_items)
		FROM orders`, &placed, &cents, &items)
	if err != nil {
		return err
	}
	if placed != maker.placed.Load() || cents != maker.cents.Load() || items != itemsEach*placed {
		return fmt.Errorf("%d orders over %d cents were accepted, and %d over %d, with %d items, stored",
			maker.placed.Load(), maker.cents.Load(), placed, cents, items)
	}
	return nil
}
