package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-orders/millrace/orders"
)

const (
	// writesRefused is how many placements in a row the database must refuse, and writesFor over what time, before a
	// process counts as unable to store orders.
	writesRefused = 3
	writesFor     = 10 * time.Second
)

// Writes remembers whether the database stores a process's placements. A database that answers may still refuse them
// all, because its disk is full or a right is missing.
type Writes struct {
	now func() time.Time

	mu      sync.Mutex
	refused int       // placements in a row
	since   time.Time // the first of them
	err     error     // set after enough refusals
}

// NewWrites makes a Writes for a store's Config. now is its clock.
func NewWrites(now func() time.Time) *Writes { return &Writes{now: now} }

// Err returns why placements cannot be stored; nil if they can, as far as this process knows.
func (w *Writes) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// note takes the outcome of a placement. It ignores a failure that the request may have caused, and one that every
// query would meet, such as a lost connection.
func (w *Writes) note(err error) {
	if w == nil || err != nil && !refusesWrites(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.refused, w.err = 0, nil
		return
	}
	now := w.now()
	if w.refused == 0 {
		w.since = now
	}
	w.refused++
	if w.refused >= writesRefused && now.Sub(w.since) >= writesFor {
		w.err = fmt.Errorf("the database has stored no placement for %s: %w", now.Sub(w.since).Round(time.Second), err)
	}
}

// refusesWrites reports whether the database failed a write for a reason that no request can cause: no space or memory
// (53), the file system (58), a standby (25006), or a missing table, column or right (42), because the statements are
// always the same. Too many connections (53300) do not concern writes.
func refusesWrites(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(pg.Code) < 2 {
		return false
	}
	class := pg.Code[:2]
	return (class == "53" || class == "58" || class == "42" || pg.Code == readOnly) && !strings.HasPrefix(pg.Code, "533")
}

// errTakenBack rolls a probe back.
var errTakenBack = errors.New("taken back")

// ProbeWrites checks whether placements can be stored again, if the process counts as unable to store any: it then gets
// no requests that would show it. The order that it writes is rolled back before any session can see it.
func (s *Orders) ProbeWrites(ctx context.Context) error {
	if s.writes == nil || s.writes.Err() == nil {
		return nil
	}
	probe := []orders.Placement{{
		Principal: "probe", CustomerID: "probe", Currency: orders.USD,
		Items: []orders.Item{{ProductID: 1, Quantity: 1, Price: 100}},
	}}
	decisions := s.decide(probe)
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := s.queries.OrdersInsert(ctx, tx, insertParams(probe, decisions)); err != nil {
			return err
		}
		if err := s.enqueue(ctx, tx, []orders.CarryJob{{OrderID: decisions[0].Order.ID}}, priorityNew); err != nil {
			return err
		}
		return errTakenBack
	})
	if errors.Is(err, errTakenBack) {
		s.writes.note(nil)
		return nil
	}
	return fmt.Errorf("probe writes: %w", err)
}
