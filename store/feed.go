package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgxlisten"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	feedPoll       = time.Second
	feedBatch      = 1000
	reconnectDelay = time.Second
)

// Feed reads the log of all orders as it grows, once per process, and hands it to everybody in the process who must
// hear of changes: each event at least once, those of one order in version order, none left out.
//
// The cursor is (txid, id) and stops below the oldest running transaction. Following the id alone looks the same and
// loses events: ids are handed out before commit, so a slow transaction commits behind a cursor that has passed it.
type Feed struct {
	pool        *pgxpool.Pool
	logger      *slog.Logger
	queries     *dbsqlc.Queries
	subscribers []func([]orders.Event)
	rung        chan struct{}

	txid uint64
	id   int64
	// current is up to when (Unix ns) everything that happened has been handed out.
	current atomic.Int64
}

// NewFeed makes a feed. Subscribe to it, then Run it.
func NewFeed(pool *pgxpool.Pool, logger *slog.Logger) *Feed {
	return &Feed{pool: pool, logger: logger, queries: dbsqlc.New(), rung: make(chan struct{}, 1)}
}

// Subscribe has fn called with every batch of events, one batch at a time. It must be called before Run, and fn must
// not block: it holds up everybody.
func (f *Feed) Subscribe(fn func([]orders.Event)) { f.subscribers = append(f.subscribers, fn) }

// Behind says for how long events may have been left unread: because the database does not answer, or because an
// old transaction holds the cursor back. It is large before Run has read for the first time.
func (f *Feed) Behind() time.Duration { return time.Since(time.Unix(0, f.current.Load())) }

// Run reads until ctx ends. It starts with what happens from now on.
func (f *Feed) Run(ctx context.Context) {
	go f.listen(ctx)
	poll := time.NewTicker(feedPoll)
	defer poll.Stop()
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
	}
}

// listen turns the doorbell into reads. Losing it costs latency, never events: the reader polls as well.
func (f *Feed) listen(ctx context.Context) {
	ring := func(context.Context, *pgconn.Notification, *pgx.Conn) error {
		select {
		case f.rung <- struct{}{}:
		default:
		}
		return nil
	}
	listener := &pgxlisten.Listener{
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			return pgx.ConnectConfig(ctx, f.pool.Config().ConnConfig)
		},
		LogError: func(ctx context.Context, err error) {
			if ctx.Err() == nil {
				f.logger.WarnContext(ctx, "doorbell is not heard", "error", err)
			}
		},
		ReconnectDelay: reconnectDelay,
	}
	listener.Handle("millrace_feed", pgxlisten.HandlerFunc(ring))
	_ = listener.Listen(ctx) // ends with ctx
}

// catchUp hands out everything up to the end of the log.
func (f *Feed) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if f.txid == 0 {
		txid, err := f.queries.FeedStart(ctx, f.pool)
		if err != nil {
			return fmt.Errorf("start feed: %w", err)
		}
		f.txid = txid
	}
	for {
		rows, err := f.queries.FeedRead(ctx, f.pool, &dbsqlc.FeedReadParams{
			Txid: f.txid, ID: f.id, PageSize: feedBatch,
		})
		if err != nil {
			return fmt.Errorf("read feed: %w", err)
		}
		if len(rows) > 0 {
			events := decodeEvents(rows)
			for _, fn := range f.subscribers {
				fn(events)
			}
			last := rows[len(rows)-1]
			f.txid, f.id = last.Txid, last.ID
		}
		if len(rows) < feedBatch {
			break
		}
	}
	oldest, err := f.queries.FeedOldestUnread(ctx, f.pool, &dbsqlc.FeedOldestUnreadParams{Txid: f.txid, ID: f.id})
	if err != nil {
		return fmt.Errorf("measure feed: %w", err)
	}
	f.current.Store(oldest.UnixNano())
	return nil
}
