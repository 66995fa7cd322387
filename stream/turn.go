package stream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// catchUpReads is how many pages of the log a process reads at a time, for streams that catch up and for callers that
// ask for pages. Without a bound, streams that reconnect would take the database from all other work.
const catchUpReads = 4

// ErrDraining reports that the server drains, which ends the wait for a turn.
var ErrDraining = errors.New("server is draining")

// turns are slots that callers wait for. A caller holds its slot for one read of the database, and never while it
// writes to its client. A free slot goes to the principal whose last turn is the longest ago, unless that principal
// holds its share. So a principal waits for at most one read of each other principal, however many streams the others
// have.
type turns struct {
	draining <-chan struct{}

	mu     sync.Mutex // also guards slots
	slots  *Slots
	queues []*turnQueue // of the principals that wait; the longest since its last turn is first
}

// turnQueue holds the waiting callers of one principal.
type turnQueue struct {
	holder  Holder
	waiting []chan struct{} // closed when its caller has a slot
}

// Turn waits for a slot and returns the function that releases it. Errors: ErrDraining, ctx's error, and meanwhile's
// error.
type Turn func(ctx context.Context) (release func(), err error)

func newTurns(total int, draining <-chan struct{}) *turns {
	return &turns{draining: draining, slots: NewSlots(total, ErrDraining, ErrDraining)}
}

// of returns the turns of a holder. While a caller waits, meanwhile is called with each tick; its error ends the wait.
func (t *turns) of(h Holder, tick <-chan time.Time, meanwhile func() error) Turn {
	return func(ctx context.Context) (release func(), err error) {
		came := t.join(h)
		defer func() {
			if release == nil { // also if meanwhile panics
				t.leave(h, came)
			}
		}()
		for err == nil {
			select {
			case <-came:
				return func() { t.release(h) }, nil
			case <-tick:
				err = meanwhile()
			case <-ctx.Done():
				err = ctx.Err()
			case <-t.draining:
				err = ErrDraining
			}
		}
		return nil, err
	}
}

// join takes a slot, or a place in the queue. came is closed when the caller has the slot.
func (t *turns) join(h Holder) (came chan struct{}) {
	came = make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots.Take(h) == nil { // the queues hold only principals that could take no slot
		close(came)
		return came
	}
	i := slices.IndexFunc(t.queues, func(q *turnQueue) bool { return q.holder == h })
	if i < 0 {
		i, t.queues = len(t.queues), append(t.queues, &turnQueue{holder: h})
	}
	t.queues[i].waiting = append(t.queues[i].waiting, came)
	return came
}

// leave ends the wait. If the slot came at the same moment, the next caller gets it.
func (t *turns) leave(h Holder, came chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-came:
		t.pass(h)
		return
	default:
	}
	for i, q := range t.queues {
		if at := slices.Index(q.waiting, came); at >= 0 {
			if q.waiting = slices.Delete(q.waiting, at, at+1); len(q.waiting) == 0 {
				t.queues = slices.Delete(t.queues, i, i+1)
			}
			return
		}
	}
}

func (t *turns) release(h Holder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass(h)
}

// pass releases a slot, and gives free slots to waiting callers. t must be locked.
func (t *turns) pass(h Holder) {
	t.slots.Release(h)
	for {
		i := slices.IndexFunc(t.queues, func(q *turnQueue) bool { return t.slots.Take(q.holder) == nil })
		if i < 0 {
			return
		}
		q := t.queues[i]
		close(q.waiting[0])
		t.queues = slices.Delete(t.queues, i, i+1)
		if q.waiting = q.waiting[1:]; len(q.waiting) > 0 {
			t.queues = append(t.queues, q)
		}
	}
}

// waiting returns the number of waiting callers.
func (t *turns) waiting() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.queues {
		n += len(q.waiting)
	}
	return n
}
