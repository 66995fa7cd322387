package store

import (
	"context"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// logBounds reads how far the log can be read. A transaction of another database of the server is older than what can
// be read, too, until it is known to be one: looking at all sessions for each read would cost more than the read.
type logBounds struct {
	queries *dbsqlc.Queries
	now     func() time.Time

	mu         sync.Mutex
	old, young moment    // of earlier reads: the old one is from more than patience ago
	helped     time.Time // when looking at the sessions last showed more of the log
	heard      Cursor    // of the last event that the feed has handed out
}

// moment has the transaction that was the next to begin.
type moment struct {
	newest uint64
	at     time.Time
}

// lookOn is for how long all reads look at the sessions after that has helped. Otherwise the next old transaction of
// another database would hide what was readable a moment ago.
const lookOn = time.Second

func newBounds(queries *dbsqlc.Queries) *logBounds {
	return &logBounds{queries: queries, now: time.Now}
}

// boundsOf returns the bounds that a feed knows, or new ones without one.
func boundsOf(feed *Feed, queries *dbsqlc.Queries) *logBounds {
	if feed == nil {
		return newBounds(queries)
	}
	return feed.bounds
}

// read returns the bounds. The first reads beside an old transaction of another database are held up by it.
func (b *logBounds) read(ctx context.Context, db dbsqlc.DBTX) (dbsqlc.LogBoundsRow, error) {
	row, err := b.queries.LogBounds(ctx, db)
	if err != nil {
		return row, err
	}
	if !b.heldUp(row) {
		return b.atLeastHeard(row), nil
	}
	here, err := b.queries.LogBoundsHere(ctx, db)
	if err != nil {
		return dbsqlc.LogBoundsRow(here), err
	}
	if here.Oldest > row.Oldest {
		b.mu.Lock()
		b.helped = b.now()
		b.mu.Unlock()
	}
	return b.atLeastHeard(dbsqlc.LogBoundsRow(here)), nil
}

// hear keeps the position of an event that the feed hands out: no other can appear before it any more.
func (b *logBounds) hear(at Cursor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = at
}

// atLeastHeard returns bounds that include what the feed has handed out. Ids that went back are of another history.
func (b *logBounds) atLeastHeard(row dbsqlc.LogBoundsRow) dbsqlc.LogBoundsRow {
	b.mu.Lock()
	defer b.mu.Unlock()
	if row.Epoch == b.heard.Epoch && b.heard.Txid < row.Newest {
		row.Oldest = max(row.Oldest, b.heard.Txid+1)
	}
	return row
}

// heldUp reports whether the oldest transaction has been running for longer than transactions of Millrace take, or
// others had been a moment ago.
func (b *logBounds) heldUp(row dbsqlc.LogBoundsRow) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if now.Sub(b.young.at) > patience {
		b.old, b.young = b.young, moment{row.Newest, now}
	}
	return row.Oldest < row.Newest && (row.Oldest < b.old.newest || now.Sub(b.helped) < lookOn)
}
