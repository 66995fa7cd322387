package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// ErrUnavailable says that the database could not be reached, is full or is restarting. A write that fails with it
// may nevertheless have been committed: the answer to COMMIT can be lost. Doing it again is safe, for a placement
// under the same idempotency key.
var ErrUnavailable = errors.New("database unavailable")

// classify marks the errors that say nothing about the request, only about the database's health. A transaction may
// pass on an error that is marked already.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || !isOutage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// lockTimeout is the code of a statement that waited for a lock for longer than lock_timeout.
const lockTimeout = "55P03"

// unwrittenError is what failed before a transaction's COMMIT was sent: nothing of the transaction was written.
type unwrittenError struct{ error }

func (e unwrittenError) Unwrap() error { return e.error }

// panicError is a panic, as an error of the caller that it was recovered for.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// unwritten runs fn, which does not commit, and marks its failure as one that wrote nothing. A panic is such a failure.
func unwritten(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
		if err != nil {
			err = unwrittenError{err}
		}
	}()
	return fn()
}

// mayBeOneMember reports whether a batch failed for a reason that may lie with one of its members, such as an order
// that cannot be read, or that another session holds locked, and whether nothing of it was written: it failed before
// COMMIT, or the server refused it. Without an answer to COMMIT it may have happened, and doing it again would do some
// of it twice.
func mayBeOneMember(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == lockTimeout || !isOutage(err)) {
		return true
	}
	_, ok := errors.AsType[unwrittenError](err)
	return ok && (!isOutage(err) || isTooSlow(err))
}

// isTooSlow reports whether a statement, or what was done between statements, took longer than it may.
func isTooSlow(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57014"
	}
	return !errors.Is(err, errBusy) && (pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded))
}

func isOutage(err error) bool {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok && connect != nil {
		return true // whatever the server says to a login, it says nothing about the request
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Connection exceptions, insufficient resources, operator intervention (shutdown, failover, timeouts), a
		// primary that was demoted under us, our own idling, a lock that somebody holds for too long, and any other end
		// of a session: the server ends none for what a statement asks of it.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") ||
			strings.HasPrefix(pg.Code, "57") || isEnd(pg) ||
			pg.Code == readOnly || pg.Code == "25P03" || pg.Code == lockTimeout
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool)
}

// isCutOff says that the connection broke off, or the server ended it, so that a COMMIT may have gone through. One that
// timed out is not among them: trying again at once would only wait again.
func isCutOff(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isEnd(pg)
	}
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, errBusy) && !pgconn.Timeout(err) &&
		!errors.Is(err, context.DeadlineExceeded)
}

// isEnd reports whether the server ended the session with this error. Only the severity that is not translated tells:
// lc_messages translates the other one.
func isEnd(pg *pgconn.PgError) bool {
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
}

// isConflict says that this transaction lost against another, and will find out how if it is tried again: deadlock,
// serialisation failure, or an idempotency key that was taken meanwhile.
func isConflict(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40P01" || pg.Code == "40001" || pg.ConstraintName == "order_commands_pkey")
}
