package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// failureClass is the class of an error of the database, for counting.
type failureClass string

const (
	failureUnavailable failureClass = "unavailable" // no connection, or the server ended it
	failureBusy        failureClass = "busy"        // no connection of the pool was free in time
	failureTimeout     failureClass = "timeout"     // a statement took too long
	failureLock        failureClass = "lock"        // a statement waited for a lock for too long
	failureConflict    failureClass = "conflict"    // deadlocks and serialisation failures, which are tried again
	failureResources   failureClass = "resources"   // a full disk, no memory, too many connections
	failureReadOnly    failureClass = "read_only"   // a standby, or a primary that was demoted
	failureConstraint  failureClass = "constraint"
	failureOther       failureClass = "other" // a missing table, column or right, or a mistake in a statement
)

func failureClasses() []failureClass {
	return []failureClass{
		failureUnavailable, failureBusy, failureTimeout, failureLock, failureConflict, failureResources, failureReadOnly,
		failureConstraint, failureOther,
	}
}

// classOf returns the class of an error of a statement. It is empty if the caller has cancelled the statement.
func classOf(err error) failureClass {
	if errors.Is(err, context.Canceled) {
		return ""
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && len(pg.Code) != 5, ok && pg.Code[:2] == "42":
		return failureOther
	case ok && pg.Code == readOnly:
		return failureReadOnly
	case ok && pg.Code == lockTimeout:
		return failureLock
	case ok && pg.Code[:2] == "40":
		return failureConflict
	case ok && (pg.Code[:2] == "53" || pg.Code[:2] == "58"):
		return failureResources
	case ok && pg.Code[:2] == "23":
		return failureConstraint
	case isTooSlow(err):
		return failureTimeout
	case isOutage(err):
		return failureUnavailable
	}
	return failureOther
}

// failureTracer counts the errors of a pool, whichever library the statement is from.
type failureTracer struct{ failed *prometheus.CounterVec }

func newFailureTracer(pool string) *failureTracer {
	t := &failureTracer{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_database_errors_total", Help: "Statements and acquires that failed, by class.",
		ConstLabels: prometheus.Labels{"pool": pool},
	}, []string{"class"})}
	for _, class := range failureClasses() {
		t.failed.WithLabelValues(string(class))
	}
	return t
}

func (t *failureTracer) count(err error) {
	if err == nil {
		return
	}
	if class := classOf(err); class != "" {
		t.failed.WithLabelValues(string(class)).Inc()
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *failureTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *failureTracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.count(data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t *failureTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *failureTracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer. It has the error of the statement that failed.
func (t *failureTracer) TraceBatchEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.count(data.Err)
}

// TraceAcquireStart implements pgxpool.AcquireTracer.
func (t *failureTracer) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	return ctx
}

// TraceAcquireEnd implements pgxpool.AcquireTracer. A full pool makes its callers wait until their time is over; a
// server that is gone fails sooner, or with an error of the network.
func (t *failureTracer) TraceAcquireEnd(_ context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	stat := pool.Stat()
	if errors.Is(data.Err, context.DeadlineExceeded) && stat.AcquiredConns() >= stat.MaxConns() {
		t.failed.WithLabelValues(string(failureBusy)).Inc()
		return
	}
	if data.Err != nil && !errors.Is(data.Err, context.Canceled) {
		t.failed.WithLabelValues(string(failureUnavailable)).Inc()
	}
}
