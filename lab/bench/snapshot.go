package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	snapshotSection = "Beside an old transaction"
	snapshotLoad    = "300 orders a second, providers take 20 ms"
	snapshotEvery   = time.Second / 300
	snapshotNone    = "no other transaction"
	snapshotOpen    = "a REPEATABLE READ transaction, open since before the load"
)

// snapshots lists the measurements of how much an old transaction slows the others: as long as it is open, no row that
// was replaced since can be removed.
func (b *bench) snapshots() []measurement {
	return []measurement{
		{"snapshot, none", func(ctx context.Context) error { return b.measureSnapshot(ctx, snapshotNone) }},
		{"snapshot, open", func(ctx context.Context) error { return b.measureSnapshot(ctx, snapshotOpen) }},
	}
}

func (b *bench) measureSnapshot(ctx context.Context, name string) (err error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	w, err := openWorld(ctx, slowProviders)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p, err := b.startMillrace(ctx, d, "serve", w.args()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if name == snapshotOpen {
		closeIt, err := d.openSnapshot(ctx)
		if err != nil {
			return err
		}
		defer closeIt()
	}
	maker, began := new(orderMaker), time.Now()
	if _, err := placeEvenly(ctx, p.API, maker, snapshotEvery, began.Add(b.steady)); err != nil {
		return err
	}
	if err := d.awaitCompleted(ctx, w, maker.placed.Load(), began); err != nil {
		return err
	}
	elapsed := time.Since(began)
	half, most, err := d.latencies(ctx, millraceLatencies)
	if err != nil {
		return err
	}
	b.results.add(snapshotSection, name, snapshotLoad, map[string]float64{
		rate: float64(maker.placed.Load()) / elapsed.Seconds(), p50: half, p99: most,
	})
	return nil
}

// openSnapshot opens a transaction that sees the database as it is now.
func (d *database) openSnapshot(ctx context.Context) (closeIt func(), err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return nil, err
	}
	closeIt = func() { _ = conn.Close(context.WithoutCancel(ctx)) }
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT count(*) FROM millrace.orders")
	}
	if err != nil {
		closeIt()
		return nil, err
	}
	return closeIt, nil
}
