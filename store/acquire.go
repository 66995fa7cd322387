package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/trace"
)

// acquireTimeout bounds how long a caller waits for a connection. A full pool must answer "busy" soon: a queue of
// waiting requests only grows.
const acquireTimeout = 2 * time.Second

// errBusy reports that no connection was free in time.
var errBusy = errors.New("no connection in time")

// impatient is a pool that gives up if no connection is free soon. It gives each statement a deadline, and turns an
// outage into ErrUnavailable, so no query can forget either.
type impatient struct {
	pool  *pgxpool.Pool
	limit time.Duration // of a statement; 0: the caller's own deadline
	begin pgx.TxOptions
}

// newImpatient adds no deadlines to a transaction, which has its connection and a deadline already.
func newImpatient(db DB, limit time.Duration) DB {
	if pool, ok := db.(*pgxpool.Pool); ok {
		return impatient{pool, limit, pgx.TxOptions{BeginQuery: beginning(pool)}}
	}
	return classified{db}
}

// classified turns the outages of a database that is not a pool into ErrUnavailable, too.
type classified struct{ db DB }

// Begin implements DB.
func (c classified) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := c.db.Begin(ctx)
	return tx, classify(err)
}

// Exec implements DB.
func (c classified) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	tag, err := c.db.Exec(ctx, sql, args...)
	return tag, classify(err)
}

// Query implements DB.
func (c classified) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := c.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, classify(err)
	}
	return classifiedRows{rows}, nil
}

// QueryRow implements DB.
func (c classified) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return classifiedRow{c.db.QueryRow(ctx, sql, args...)}
}

type classifiedRows struct{ pgx.Rows }

func (r classifiedRows) Err() error { return classify(r.Rows.Err()) }

type classifiedRow struct{ row pgx.Row }

func (r classifiedRow) Scan(dest ...any) error { return classify(r.row.Scan(dest...)) }

func (i impatient) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if i.limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, i.limit)
}

// soon runs fn, which acquires a connection, under the shorter deadline.
func soon[T any](ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	short, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	v, err := fn(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return v, fmt.Errorf("%w: %w", errBusy, err)
	}
	return v, err
}

// waited adds the time since a moment to what the context's scope has waited for the database.
func waited(ctx context.Context, began time.Time) { trace.ScopeOf(ctx).Waited(time.Since(began)) }

// Begin implements DB. The transaction's deadline is the caller's.
func (i impatient) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := soon(ctx, func(ctx context.Context) (pgx.Tx, error) { return i.pool.BeginTx(ctx, i.begin) })
	return tx, classify(err)
}

// Exec implements DB.
func (i impatient) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	defer waited(ctx, time.Now())
	ctx, cancel := i.limited(ctx)
	defer cancel()
	conn, err := soon(ctx, i.pool.Acquire)
	if err != nil {
		return pgconn.CommandTag{}, classify(err)
	}
	defer conn.Release()
	tag, err := conn.Exec(ctx, sql, args...)
	return tag, classify(err)
}

// Query implements DB.
func (i impatient) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	began := time.Now()
	ctx, cancel := i.limited(ctx)
	conn, err := soon(ctx, i.pool.Acquire)
	if err != nil {
		waited(ctx, began)
		cancel()
		return nil, classify(err)
	}
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		conn.Release()
		waited(ctx, began)
		cancel()
		return nil, classify(err)
	}
	return &heldRows{Rows: rows, conn: conn, cancel: func() {
		waited(ctx, began)
		cancel()
	}}, nil
}

// QueryRow implements DB.
func (i impatient) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := i.Query(ctx, sql, args...)
	return heldRow{rows, err}
}

// heldRows returns its connection once the rows are read to the end or closed.
type heldRows struct {
	pgx.Rows
	conn   *pgxpool.Conn // nil: returned
	cancel func()
}

func (r *heldRows) Err() error { return classify(r.Rows.Err()) }

func (r *heldRows) Close() {
	r.Rows.Close()
	if r.conn != nil {
		r.conn.Release()
		r.conn = nil
		r.cancel()
	}
}

func (r *heldRows) Next() bool {
	more := r.Rows.Next()
	if !more {
		r.Close()
	}
	return more
}

// heldRow is the first of several rows, as pgx's QueryRow returns it.
type heldRow struct {
	rows pgx.Rows
	err  error
}

func (r heldRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
