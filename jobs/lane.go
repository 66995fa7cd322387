package jobs

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// laneWait is the longest time that a step waits for room in its provider's lane.
	laneWait = time.Second
	// callMemory is the weight of the calls before the latest one in what a lane takes for the usual duration.
	callMemory = 0.9
)

// errLaneFull leaves a step to its provider's queue.
var errLaneFull = errors.New("the provider's lane is full")

// lane is the bulkhead of a provider: a bounded number of calls at a time. Steps that wait for room are let in by
// class: the steps of orders that have begun before the steps of new orders. A step is turned away if it would have to
// wait for longer than laneWait, so a provider that hangs holds up no more carrying jobs than the lane has room.
type lane struct {
	capacity int

	mu       sync.Mutex
	used     int
	waiting  [2][]chan struct{} // by class; a closed channel lets its step in
	usual    time.Duration      // of a call
	released time.Time          // when a call ended last, or the lane became full
}

// The classes of steps in a lane.
const (
	classBegun = iota
	classNew
)

// enter waits for room. Errors: errLaneFull; ctx's.
func (l *lane) enter(ctx context.Context, class int) error {
	l.mu.Lock()
	if l.used < l.capacity {
		l.used++
		if l.used == l.capacity {
			l.released = time.Now()
		}
		l.mu.Unlock()
		return nil
	}
	if l.expect() > laneWait {
		l.mu.Unlock()
		return errLaneFull
	}
	turn := make(chan struct{})
	l.waiting[class] = append(l.waiting[class], turn)
	l.mu.Unlock()

	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
		return l.give(turn, class, errLaneFull)
	case <-ctx.Done():
		return l.give(turn, class, ctx.Err())
	}
}

// expect returns how long a step that comes now would wait: for the steps before it, at the pace of the latest calls,
// or, if no call ends any more, at a pace that gets slower with the time since the last one.
func (l *lane) expect() time.Duration {
	pace := max(l.usual, time.Since(l.released))
	before := len(l.waiting[classBegun]) + len(l.waiting[classNew])
	return pace * time.Duration(before+1) / time.Duration(l.capacity)
}

// give takes a step out of those that wait. A step that was let in at the same moment stays in.
func (l *lane) give(turn chan struct{}, class int, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting[class] {
		if other == turn {
			l.waiting[class] = append(l.waiting[class][:i], l.waiting[class][i+1:]...)
			return err
		}
	}
	return nil
}

// leave ends a call that has taken some time, and lets the next step in.
func (l *lane) leave(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released = time.Now()
	l.usual = time.Duration(callMemory*float64(l.usual) + (1-callMemory)*float64(took))
	for class, waiting := range l.waiting {
		if len(waiting) > 0 {
			close(waiting[0])
			l.waiting[class] = waiting[1:]
			return
		}
	}
	l.used--
}

// occupancy returns how many calls are under way, and how many steps wait for room.
func (l *lane) occupancy() (used, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used, len(l.waiting[classBegun]) + len(l.waiting[classNew])
}
