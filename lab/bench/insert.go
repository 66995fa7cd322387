package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The limits of any intake: Postgres without HTTP and without Millrace, on the same table.
const (
	bareInsert = "a bare INSERT each, no HTTP"
	bareCopy   = "COPY, no HTTP"

	insertConns = 64 // more backends are slower on small machines
	copyRows    = 10_000
)

// orderColumns lists the columns without a default. The rows are as long as an order's, without the rows that belong to
// an order.
func orderColumns() []string {
	return []string{
		"id", "principal", "idempotency_key", "fingerprint", "customer_id", "currency", "total_minor", "payment_method",
		"version", "status", "goal", "reason", "placed_at", "updated_at",
	}
}

func orderRow() []any {
	now := time.Now()
	return []any{
		uuid.Must(uuid.NewV7()), "bench", uuid.NewString(), make([]byte, 32), strconv.Itoa(1 + rand.IntN(customers)), "USD",
		rand.Int64N(100_000), "card", int64(1), "pending", "complete", "", now, now,
	}
}

const insertOrder = `INSERT INTO millrace.orders (id, principal, idempotency_key, fingerprint, customer_id, currency,
	total_minor, payment_method, version, status, goal, reason, placed_at, updated_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

// measureInsert inserts single rows, each in a transaction of its own.
func (b *bench) measureInsert(ctx context.Context, callers int) error {
	return b.bare(ctx, bareInsert, callers, func(pool *pgxpool.Pool) call {
		return func(ctx context.Context) error {
			_, err := pool.Exec(ctx, insertOrder, orderRow()...)
			return err
		}
	})
}

// measureCopy copies rows from one connection, as fast as Postgres accepts them.
func (b *bench) measureCopy(ctx context.Context) error {
	return b.bare(ctx, bareCopy, 1, func(pool *pgxpool.Pool) call {
		return func(ctx context.Context) error {
			rows := pgx.CopyFromSlice(copyRows, func(int) ([]any, error) { return orderRow(), nil })
			_, err := pool.CopyFrom(ctx, pgx.Identifier{"millrace", "orders"}, orderColumns(), rows)
			return err
		}
	})
}

func (b *bench) bare(ctx context.Context, name string, callers int, make func(*pgxpool.Pool) call) (err error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.drop()) }()
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return err
	}
	config.MaxConns = int32(min(callers, insertConns))
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := startMeter(ctx, d)
	if err != nil {
		return err
	}
	l, err := run(ctx, callers, b.span, func(context.Context) (call, func(), error) {
		return make(pool), func() {}, nil
	})
	if err != nil {
		return err
	}
	pool.Close()
	var rows int64
	if err := d.query(ctx, "SELECT count(*) FROM millrace.orders", &rows); err != nil {
		return err
	}
	used, err := m.read(ctx, int(rows))
	if err != nil {
		return err
	}
	total, err := d.commits(ctx)
	if err != nil {
		return err
	}
	perCall := float64(rows) / float64(l.all)
	values := map[string]float64{
		rate: l.rate() * perCall, p50: l.quantile(0.5), p99: l.quantile(0.99),
		postgresCPU: used[postgresCPU], walKB: used[walKB], commits: float64(total) / float64(rows),
	}
	condition := connectionsLabel(callers)
	if name == bareCopy {
		delete(values, p50) // they would be of 10,000 rows
		delete(values, p99)
	}
	b.results.add(intakeSection, name, condition, values)
	return nil
}
