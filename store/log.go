package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Log is the log of all events of all orders, in the sequence in which all readers see them.
type Log struct {
	*database
}

// within returns the log as a transaction sees it.
func (s *Log) within(tx pgx.Tx) *Log {
	d := *s.database
	d.db = tx
	return &Log{&d}
}

const (
	logPage  = 1000
	logPages = 10 // that one call reads at most, looking for entries that a filter selects
	// readBehind is how much older an entry may be than the entries before it: an entry has the time at which its
	// transaction began, and the log follows the transactions' ids.
	readBehind = time.Hour
)

// Entry is an event in the log, with the fields by which readers select.
type Entry struct {
	orders.Event
	Cursor     Cursor // the position right after it
	CustomerID string // of the order
	Placer     string // the principal that placed the order
}

// LogFilter selects entries. The zero value selects all.
type LogFilter struct {
	CustomerID string
	// only events of these steps; the database selects them, so other events cost no read here
	Steps []orders.StepName
}

func (f LogFilter) selects(e Entry) bool { return f.CustomerID == "" || f.CustomerID == e.CustomerID }

// Read reads the log after a cursor, at most limit entries, in the sequence in which all readers see them: each order's
// events by version, none left out. next is the cursor to go on from. It may be ahead of the last entry, and it may
// move although no entry was selected, because one call looks through at most 10,000 entries.
//
// more is false once the call has seen everything that could be read when it began. Later entries do not count: a
// reader of a busy log would never be done. For a customer with at most 1,000 orders, a call reads only the events of
// these orders.
//
// An entry is missing as long as an older transaction is running, because that transaction may still write an entry
// before it. Error: ErrCursorExpired.
func (s *Log) Read(
	ctx context.Context, after Cursor, f LogFilter, limit int,
) (entries []Entry, next Cursor, more bool, err error) {
	bounds, err := s.limits(ctx)
	if err != nil {
		return nil, after, false, fmt.Errorf("bound log: %w", err)
	}
	if after.Epoch != bounds.Epoch || after.Txid > bounds.Newest || after.At.Before(bounds.PrunedTo) {
		return nil, after, false, ErrCursorExpired
	}
	if f.CustomerID != "" {
		own, few, err := s.ordersOf(ctx, f.CustomerID)
		if err == nil && few {
			entries, next, err = s.readOrders(ctx, own, after, bounds, f, limit)
		}
		if err != nil {
			return nil, after, false, fmt.Errorf("read log of customer: %w", err)
		}
		if few {
			return entries, next, len(entries) == limit, nil
		}
	}
	return s.readAll(ctx, after, bounds, f, limit)
}

// limits returns how far the log can be read. A standby may have replayed a transaction that the primary still keeps
// invisible, because it waits for a synchronous standby. If the primary is lost then, so may be that transaction, and
// its id and those of its events are given out again. A cursor must not have passed them, so a page from a standby ends
// where the primary's would.
func (s *Log) limits(ctx context.Context) (dbsqlc.LogBoundsRow, error) {
	if !s.standby {
		return s.bounds.read(ctx, s.db)
	}
	oldest, known := s.oldest()
	if !known {
		return dbsqlc.LogBoundsRow{}, errBehind
	}
	bounds, err := s.queries.LogBounds(ctx, s.db)
	bounds.Oldest = min(bounds.Oldest, oldest)
	return bounds, err
}

// readAll searches the log of all orders.
func (s *Log) readAll(
	ctx context.Context, after Cursor, bounds dbsqlc.LogBoundsRow, f LogFilter, limit int,
) (entries []Entry, next Cursor, more bool, err error) {
	page := logPage
	if f.CustomerID == "" {
		page = limit
	}
	next = after
	for range logPages {
		read, err := readLog(ctx, s.queries, s.db, next, bounds, page, f.Steps...)
		if err != nil {
			return nil, after, false, fmt.Errorf("read log: %w", err)
		}
		for _, e := range read {
			next = e.Cursor
			if !f.selects(e) {
				continue
			}
			if entries = append(entries, e); len(entries) == limit {
				return entries, next, true, nil
			}
		}
		if len(read) < page {
			return entries, next.advance(bounds), false, nil
		}
	}
	return entries, next, true, nil
}

// Start returns the beginning of the part of the log that is kept.
func (s *Log) Start(ctx context.Context) (Cursor, error) {
	bounds, err := s.limits(ctx)
	if err != nil {
		return Cursor{}, fmt.Errorf("bound log: %w", err)
	}
	return Cursor{Epoch: bounds.Epoch, At: bounds.PrunedTo}, nil
}

// End returns the cursor for a reader that wants only what happens from now on. Events that are being committed right
// now may be before it or after it.
func (s *Log) End(ctx context.Context) (Cursor, error) {
	bounds, err := s.limits(ctx)
	if err != nil {
		return Cursor{}, fmt.Errorf("bound log: %w", err)
	}
	return logEnd(ctx, s.queries, s.db, bounds)
}

// Since returns a cursor before everything that was written at a moment or later, by the database's clock. It allows
// for a clock that was set back by at most an hour. It searches by halves, so it costs the same in any log.
func (s *Log) Since(ctx context.Context, at time.Time) (Cursor, error) {
	at = at.Add(-readBehind)
	bounds, err := s.limits(ctx)
	if err != nil {
		return Cursor{}, fmt.Errorf("bound log: %w", err)
	}
	cursor := Cursor{Epoch: bounds.Epoch, At: bounds.PrunedTo}
	for low, high := uint64(0), bounds.Newest; low < high; {
		middle := low + (high-low)/2
		event, err := s.queries.LogProbe(ctx, s.db, middle)
		switch {
		case err != nil && !errors.Is(err, pgx.ErrNoRows):
			return Cursor{}, fmt.Errorf("look for a moment in the log: %w", err)
		case err == nil && event.LoggedAt.Before(at):
			cursor.Txid, cursor.ID, cursor.At = event.Txid, event.ID, event.LoggedAt.UTC()
			low = event.Txid + 1
		default:
			high = middle
		}
	}
	return cursor, nil
}

// logEnd returns the position after the last event that can be read.
func logEnd(
	ctx context.Context, queries *dbsqlc.Queries, db dbsqlc.DBTX, bounds dbsqlc.LogBoundsRow,
) (Cursor, error) {
	end := Cursor{Epoch: bounds.Epoch, At: bounds.At}
	last, err := queries.LogLast(ctx, db, bounds.Oldest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return end, nil
	case err != nil:
		return Cursor{}, fmt.Errorf("find end of log: %w", err)
	}
	end.Txid, end.ID = last.Txid, last.ID
	return end, nil
}

// advance returns the same position with a new time, for a reader that has seen all entries. It keeps the cursor from
// growing old.
func (c Cursor) advance(bounds dbsqlc.LogBoundsRow) Cursor {
	c.At = bounds.At
	return c
}

func readLog(
	ctx context.Context, queries *dbsqlc.Queries, db dbsqlc.DBTX, after Cursor, bounds dbsqlc.LogBoundsRow, limit int,
	steps ...orders.StepName,
) ([]Entry, error) {
	rows, err := queries.LogRead(ctx, db, &dbsqlc.LogReadParams{
		Txid: after.Txid, ID: after.ID, Below: bounds.Oldest, Steps: namesOf(steps), PageSize: int32(limit),
	})
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		entries[i] = newEntry(row.OrderEvent, bounds.Epoch, row.CustomerID, row.Principal)
	}
	return entries, nil
}

func newEntry(e dbsqlc.OrderEvent, epoch int64, customerID, placer string) Entry {
	return Entry{
		Event: decodeEvent(e), CustomerID: customerID, Placer: placer,
		Cursor: Cursor{Epoch: epoch, Txid: e.Txid, ID: e.ID, At: e.LoggedAt.UTC()},
	}
}

func namesOf(steps []orders.StepName) []string {
	names := make([]string, len(steps))
	for i, step := range steps {
		names[i] = string(step)
	}
	return names
}
