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

// ErrUnavailable reports that the database could not be reached, is full or is restarting. A write that fails with it
// may have been committed, because the answer to COMMIT can be lost. Repeating the write is safe; a placement needs the
// same idempotency key.
var ErrUnavailable = errors.New("database unavailable")

// classify marks errors that report the database's health and nothing about the request. An error that is marked
// already may come back from a transaction.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || !isOutage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, explainRefusal(err))
}

// lockTimeout is the code of a statement that waited for a lock for longer than lock_timeout.
const lockTimeout = "55P03"

// unwrittenError is a failure before a transaction's COMMIT was sent: the transaction wrote nothing.
type unwrittenError struct{ error }

func (e unwrittenError) Unwrap() error { return e.error }

// panicError is a panic as an error, for the caller whose work panicked.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// unwritten runs fn, which does not commit, and marks its failure as one that wrote nothing. A panic counts as a
// failure.
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

// mayBeOneMember reports whether one member may have failed its batch and the batch wrote nothing. Such a member is an
// order that cannot be read, or one that another session holds locked. A batch wrote nothing if it failed before
// COMMIT, or if the server refused the COMMIT. Without an answer to COMMIT the batch may be stored, and repeating it
// would do some of it twice.
func mayBeOneMember(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == lockTimeout || !isOutage(err)) {
		return true
	}
	_, ok := errors.AsType[unwrittenError](err)
	return ok && (!isOutage(err) || isTooSlow(err))
}

// isTooSlow reports whether a statement, or the code between statements, took longer than allowed.
func isTooSlow(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57014"
	}
	return !errors.Is(err, errBusy) && (pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded))
}

func isOutage(err error) bool {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok && connect != nil {
		return true // an error at login is never about the request
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Connection exceptions, insufficient resources, operator intervention (shutdown, failover, timeouts), a primary that
		// was demoted, our own idling, a lock that another session holds for too long, and any other end of a session: the
		// server never ends a session because of a statement.
		return strings.HasPrefix(pg.Code, "08") || strings.HasPrefix(pg.Code, "53") ||
			strings.HasPrefix(pg.Code, "57") || isEnd(pg) ||
			pg.Code == readOnly || pg.Code == "25P03" || pg.Code == lockTimeout
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool)
}

// isCutOff reports whether the connection broke off, or the server ended it, so that a COMMIT may have gone through. A
// timeout is not a cut: a repeat at once would only wait again.
func isCutOff(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isEnd(pg)
	}
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, errBusy) && !pgconn.Timeout(err) &&
		!errors.Is(err, context.DeadlineExceeded)
}

// isEnd reports whether the server ended the session with this error. It reads the severity that is not translated: the
// other one depends on lc_messages.
func isEnd(pg *pgconn.PgError) bool {
	return pg.SeverityUnlocalized == "FATAL" || pg.SeverityUnlocalized == "PANIC"
}

// isConflict reports whether this transaction lost against another one, and a repeat decides anew: a deadlock, a
// serialisation failure, or an idempotency key that was taken meanwhile.
func isConflict(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40P01" || pg.Code == "40001" || pg.ConstraintName == "order_commands_pkey")
}
