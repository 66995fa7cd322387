package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// positionTimeout bounds how long a position is asked for. It delays the answer to a write.
	positionTimeout = time.Second
	positionTries   = 2
)

// timeline reads the primary's position. Callers that ask at the same time share a read, which begins after they asked.
type timeline struct {
	*database

	mu   sync.Mutex
	next *positionRead // has not begun; nil: none
	busy bool          // a read is under way
}

type positionRead struct {
	done     chan struct{}
	position Position
	err      error
}

// position returns a position behind everything that was committed before the call.
func (t *timeline) position(ctx context.Context) (Position, error) {
	t.mu.Lock()
	read := t.next
	if read == nil {
		read = &positionRead{done: make(chan struct{})}
		t.next = read
	}
	if !t.busy {
		t.busy = true
		go t.run() //nolint:contextcheck // it reads for all callers, and outlives any of them
	}
	t.mu.Unlock()
	select {
	case <-read.done:
		return read.position, read.err
	case <-ctx.Done():
		return Position{}, ctx.Err()
	}
}

// run reads until no caller waits.
func (t *timeline) run() {
	for {
		t.mu.Lock()
		read := t.next
		t.next, t.busy = nil, read != nil
		t.mu.Unlock()
		if read == nil {
			return
		}
		read.position, read.err = t.read()
		close(read.done)
	}
}

// read marks the timeline if no process has done so.
func (t *timeline) read() (Position, error) {
	ctx, cancel := context.WithTimeout(context.Background(), positionTimeout)
	defer cancel()
	for range positionTries {
		row, err := t.queries.PositionRead(ctx, t.db)
		if err != nil {
			return Position{}, fmt.Errorf("read position: %w", err)
		}
		if row.Mark != 0 {
			return Position{mark: uint64(row.Mark), lsn: uint64(row.Lsn)}, nil //nolint:gosec // neither is negative
		}
		if err := t.queries.TimelineMark(ctx, t.db, rand.Int64()|1); err != nil { // not 0
			return Position{}, fmt.Errorf("mark timeline: %w", err)
		}
	}
	return Position{}, fmt.Errorf("%w: the timeline changes", ErrUnavailable)
}

// identity returns which database this is.
func (t *timeline) identity(ctx context.Context) (dbsqlc.DatabaseIdentityRow, error) {
	row, err := t.queries.DatabaseIdentity(ctx, t.db)
	if err != nil {
		return row, fmt.Errorf("read which database this is: %w", err)
	}
	return row, nil
}
