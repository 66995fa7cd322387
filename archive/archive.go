// Package archive moves orders that have rested for long out of the database, into files of NDJSON: one order a line,
// with its steps and events, and a checksum beside each file.
//
// The sequence makes every crash harmless. A file is written, kept by the disk, read back and compared. Then its orders
// are registered, in one commit. Only orders that are registered, and only from a file that is whole at that moment,
// are deleted, a few in a transaction. A run that finds registered orders of an earlier run goes on with these.
package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Config configures an Archiver.
type Config struct {
	Store *store.Store
	Dir   string
	// Keep is how long orders stay in the database after their last change.
	Keep time.Duration
	Now  func() time.Time
	// PerFile is the largest number of orders in a file. Default 2,000.
	PerFile    int
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

const (
	perFile  = 2000
	scanPage = 500 // orders that are looked at in one statement
	// deletePage is small: other transactions may wait for the locks of these orders, and the feed for the transaction.
	deletePage = 100
	// rest is the share of a deletion's time that the archiver then leaves to others.
	rest = 2
)

// Archiver archives orders. One runs at a time; a second one does no harm.
type Archiver struct {
	Config

	archived prometheus.Counter
	kept     prometheus.Gauge
}

// New makes an Archiver.
func New(c Config) *Archiver {
	if c.PerFile == 0 {
		c.PerFile = perFile
	}
	a := &Archiver{
		Config: c,
		archived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_orders_archived_total", Help: "Orders that left the database for a file.",
		}),
		kept: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "millrace_orders_not_archived", Help: "Orders that the latest run left because they break a rule.",
		}),
	}
	if c.Registerer != nil {
		c.Registerer.MustRegister(a.archived, a.kept)
	}
	return a
}

// Run archives all orders that are due, and returns how many were deleted. It ends early with ctx; the next run goes
// on.
func (a *Archiver) Run(ctx context.Context) (deleted int64, err error) {
	if deleted, err = a.finish(ctx); err != nil {
		return deleted, err
	}
	before := a.Now().Add(-a.Keep)
	var unsound int
	var after orders.ID
	for number := 1; ; number++ {
		ids, last, err := a.gather(ctx, before, after)
		if err != nil || len(ids) == 0 {
			a.kept.Set(float64(unsound))
			return deleted, err
		}
		after = last
		list, pruned, err := a.read(ctx, ids)
		if err != nil {
			return deleted, err
		}
		list, left := a.sound(ctx, list, pruned)
		unsound += left
		if len(list) == 0 {
			continue
		}
		f, err := a.write(list, pruned, number)
		if err != nil {
			return deleted, err
		}
		failpoint.Hit("archive.verified")
		if f, err = a.Store.Archive.Register(ctx, f, list); err != nil {
			return deleted, err
		}
		failpoint.Hit("archive.registered")
		n, err := a.delete(ctx, f)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
}

// finish deletes what earlier runs have registered. Orders whose file is not whole any more stay in the database.
func (a *Archiver) finish(ctx context.Context) (deleted int64, err error) {
	for {
		files, err := a.Store.Archive.Pending(ctx)
		if err != nil || len(files) == 0 {
			return deleted, err
		}
		for _, f := range files {
			n, err := a.delete(ctx, f)
			if deleted += n; err != nil {
				return deleted, err
			}
		}
	}
}

// delete deletes the orders of a registered file, if the file is whole.
func (a *Archiver) delete(ctx context.Context, f store.ArchiveFile) (deleted int64, err error) {
	switch err := check(a.Dir, f, nil); {
	case errors.Is(err, ErrDamaged):
		a.Logger.ErrorContext(ctx, "archive file not usable, its orders stay", "file", f.Name, "error", err)
		for more := int64(1); more > 0; {
			if more, err = a.Store.Archive.Release(ctx, f, scanPage); err != nil {
				return 0, err
			}
		}
		return 0, nil
	case err != nil:
		return 0, err
	}
	if err := a.Store.Archive.Settle(ctx); err != nil {
		return 0, err
	}
	for more := true; more; {
		began := time.Now()
		var n int64
		if n, more, err = a.Store.Archive.Delete(ctx, f, deletePage); err != nil {
			return deleted, err
		}
		deleted += n
		a.archived.Add(float64(n))
		if err := pause(ctx, rest*time.Since(began)); more && err != nil {
			return deleted, err
		}
	}
	a.Logger.InfoContext(ctx, "orders archived", "file", f.Name, "orders", deleted)
	return deleted, nil
}

// gather returns the orders of the next file, and the last order that it looked at.
func (a *Archiver) gather(
	ctx context.Context, before time.Time, after orders.ID,
) (ids []orders.ID, last orders.ID, err error) {
	for last = after; len(ids) < a.PerFile; {
		due, end, err := a.Store.Archive.Scan(ctx, before, last, min(scanPage, a.PerFile-len(ids)))
		if err != nil {
			return nil, last, err
		}
		if end == (orders.ID{}) {
			break
		}
		ids, last = append(ids, due...), end
	}
	return ids, last, nil
}

func (a *Archiver) read(
	ctx context.Context, ids []orders.ID,
) (list []store.ArchivedOrder, pruned time.Time, err error) {
	for len(ids) > 0 {
		page := ids[:min(len(ids), scanPage)]
		ids = ids[len(page):]
		some, to, err := a.Store.Archive.Read(ctx, page)
		if err != nil {
			return nil, pruned, err
		}
		if list = append(list, some...); to.After(pruned) {
			pruned = to
		}
	}
	return list, pruned, nil
}

// sound leaves out the orders that break a rule: verification reports them, and an operator needs them where they are.
func (a *Archiver) sound(
	ctx context.Context, list []store.ArchivedOrder, pruned time.Time,
) (whole []store.ArchivedOrder, left int) {
	for _, o := range list {
		if err := sound(o, pruned); err != nil {
			a.Logger.WarnContext(ctx, "order not archived", "order_id", o.ID, "reason", err)
			left++
			continue
		}
		whole = append(whole, o)
	}
	return whole, left
}

// write writes a file, reads it back and compares each order with what was read from the database.
func (a *Archiver) write(list []store.ArchivedOrder, pruned time.Time, number int) (store.ArchiveFile, error) {
	first := list[0].ID
	name := fmt.Sprintf("orders-%s-%04d-%x%s", a.Now().UTC().Format("20060102T150405Z"), number, first[12:], suffix)
	f, err := write(a.Dir, name, list)
	if err != nil {
		return f, err
	}
	next := 0
	err = check(a.Dir, f, func(got store.ArchivedOrder) error {
		if next == len(list) {
			return errors.New("there are more orders than were written")
		}
		next++
		return same(list[next-1], got, pruned)
	})
	return f, err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
