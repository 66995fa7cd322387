package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	feedPoll       = time.Second
	feedPause      = 10 * time.Millisecond
	patience       = 100 * time.Millisecond // patience with an old transaction, before asking what it hides
	reconnectDelay = time.Second
)

// Feed reads the log of all orders as it grows, once per process, and hands its entries to the process's subscribers.
// They get each event at least once, the events of one order by version, and none is left out.
//
// The cursor is (txid, id) and stops below the oldest running transaction of the database. A cursor of the id alone
// looks the same and loses events: ids are handed out before commit, so a slow transaction commits behind a cursor that
// has passed its ids.
type Feed struct {
	pool        *pgxpool.Pool
	logger      *slog.Logger
	queries     *dbsqlc.Queries
	bounds      *logBounds
	subscribers []func([]Entry)
	rung        chan struct{}
	begun       chan struct{}
	begin       func() // closes begun
	age         prometheus.Histogram
	clock       *Clock
	hearing     hearing

	cursor Cursor
	// mark is a moment, and the transaction that was the next to begin then. Once all transactions before it are over and
	// read, all events from before that moment have been handed out.
	mark struct {
		txid uint64
		at   time.Time
	}
	// current is the latest such moment, on this process's clock: the clocks of other machines may differ.
	current atomic.Pointer[time.Time]
	oldest  atomic.Uint64 // transaction that the primary ran at the latest read; 0 before the first
}

// NewFeed makes a feed. Subscribe to it, then Run it. registerer may be nil.
func NewFeed(pool *pgxpool.Pool, logger *slog.Logger, registerer prometheus.Registerer) *Feed {
	begun := make(chan struct{})
	f := &Feed{
		pool: pool, logger: logger, queries: dbsqlc.New(), rung: make(chan struct{}, 1),
		clock: NewClock(ClockConfig{Logger: logger}), begun: begun, begin: sync.OnceFunc(func() { close(begun) }),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_feed_event_age_seconds", Help: "Age of events when they are handed out.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}),
	}
	f.bounds = newBounds(f.queries)
	f.hearing.every, f.hearing.wait = hearingEvery, hearingWait
	if pool != nil && !Pooled(pool) {
		f.hearing.pool = pool
	}
	if registerer != nil {
		registerer.MustRegister(f.age, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_listening", Help: "1 while notifications arrive, 0 while the process polls.",
		}, func() float64 {
			if f.Hears() {
				return 1
			}
			return 0
		}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_feed_behind_seconds", Help: "For how long events may have been left unread.",
		}, func() float64 { return f.Behind().Seconds() }))
	}
	return f
}

// Subscribe has fn called with every batch of entries, one batch at a time. It must be called before Run. fn must not
// block: it holds up all other subscribers.
func (f *Feed) Subscribe(fn func([]Entry)) { f.subscribers = append(f.subscribers, fn) }

// SetClock has the clock take the database's time with every read of the log, at least once a second. It must be called
// before Run.
func (f *Feed) SetClock(c *Clock) { f.clock = c }

// Begun is closed once Run knows where it starts: it hands out what is committed from then on.
func (f *Feed) Begun() <-chan struct{} { return f.begun }

// Behind returns for how long events may have been left unread, because the database does not answer or an old
// transaction holds the cursor back. It is very large before the first read of Run.
func (f *Feed) Behind() time.Duration {
	if current := f.current.Load(); current != nil {
		return time.Since(*current)
	}
	return math.MaxInt64
}

// Oldest returns the oldest transaction that the primary was running at the latest read; false before the first.
func (f *Feed) Oldest() (txid uint64, known bool) {
	txid = f.oldest.Load()
	return txid, txid != 0
}

// Run reads until ctx ends. It starts with the events that are committed from now on.
func (f *Feed) Run(ctx context.Context) {
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		f.listen(ctx)
	}()
	defer func() { <-listening }()
	poll, pause := time.NewTicker(feedPoll), time.NewTicker(feedPause)
	defer poll.Stop()
	defer pause.Stop()
	for failing := false; ; {
		err := f.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			f.logger.WarnContext(ctx, "feed is failing", "error", err)
		case err == nil && failing:
			f.logger.InfoContext(ctx, "feed has recovered")
		}
		failing = err != nil

		select {
		case <-f.rung:
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-pause.C: // many processes ring: one read serves all rings of the pause
		case <-ctx.Done():
			return
		}
	}
}

// catchUp hands out everything up to the oldest transaction that is still running.
func (f *Feed) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now, asked := time.Now(), f.clock.config.Elapsed()
	bounds, err := f.bounds.read(ctx, f.pool)
	answered := f.clock.config.Elapsed()
	if err != nil {
		return fmt.Errorf("bound feed: %w", err)
	}
	if bounds.ReadOnly { // a demoted server still answers reads, but sees no new events
		f.pool.Reset()
		return errDemoted
	}
	f.clock.observe(ctx, asked, answered, bounds.At)
	f.oldest.Store(bounds.Oldest)
	switch {
	case f.cursor == (Cursor{}):
		if f.cursor, err = logEnd(ctx, f.queries, f.pool, bounds); err != nil {
			return err
		}
		f.begin()
	case f.cursor.Epoch != bounds.Epoch || bounds.Newest < f.cursor.Txid:
		// Transaction ids went back: the database was restored, or failed over with a loss, and has a different history.
		f.logger.WarnContext(ctx, "the log's history has changed")
		if f.cursor, err = logEnd(ctx, f.queries, f.pool, bounds); err != nil {
			return err
		}
		f.mark.txid = 0
	}
	for {
		entries, err := readLog(ctx, f.queries, f.pool, f.cursor, bounds, logPage)
		if err != nil {
			return fmt.Errorf("read feed: %w", err)
		}
		if len(entries) > 0 {
			failpoint.Hit("feed.read")
			f.bounds.hear(entries[len(entries)-1].Cursor)
			for _, fn := range f.subscribers {
				fn(entries)
			}
			failpoint.Hit("feed.handed_out")
			for _, e := range entries {
				f.age.Observe(f.clock.Now().Sub(e.At).Seconds())
			}
			f.cursor = entries[len(entries)-1].Cursor
		}
		if len(entries) < logPage {
			f.cursor = f.cursor.advance(bounds)
			break
		}
	}
	return f.measure(ctx, now, bounds)
}

// measure finds out up to which moment all events have been handed out.
func (f *Feed) measure(ctx context.Context, now time.Time, bounds dbsqlc.LogBoundsRow) error {
	if f.mark.txid != 0 && bounds.Oldest >= f.mark.txid {
		f.reached(f.mark.at)
		f.mark.txid = 0
	}
	switch {
	case bounds.Oldest >= bounds.Newest: // no transaction is writing
		f.reached(now)
		f.mark.txid = 0
	case f.mark.txid == 0:
		f.mark.txid, f.mark.at = bounds.Newest, now
	case now.Sub(f.mark.at) > patience:
		// An old transaction holds the cursor back. It may have nothing to do with orders.
		unread, err := f.queries.LogUnread(ctx, f.pool, &dbsqlc.LogUnreadParams{
			Txid: f.cursor.Txid, ID: f.cursor.ID,
		})
		if err != nil {
			return fmt.Errorf("measure feed: %w", err)
		}
		if !unread {
			f.reached(now)
		}
	}
	return nil
}

func (f *Feed) reached(at time.Time) { f.current.Store(&at) }
