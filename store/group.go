package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/failpoint"
)

const (
	// groupLanes is how many batches may be in the database at a time: one more than one, so that one is being put
	// together while another is being committed. More only makes the batches smaller.
	groupLanes = 2
	// groupWorth is how many members must wait for a second lane. Fewer wait for the first one's commit, which is cheaper
	// for everybody than one of their own.
	groupWorth = 32
	// groupPatience is for how long. A batch that takes longer waits for a lock or a lost packet, not for its commit.
	groupPatience = 50 * time.Millisecond
	groupBatch    = 128  // weight of a batch's members
	groupQueue    = 4096 // weight of members that wait; more than that are turned away
	// groupOutages is how many of a slow batch's calls may find the database out of reach, each by itself, before the
	// others are answered without another try.
	groupOutages = 2
)

// group is a group commit: calls that come while others are being committed are committed together, next. A caller
// who is alone waits for nobody. Each caller gets the answers to its own members.
//
// Source: the idea is that of commit_delay in Postgres and of every write-ahead log, one level up: what is shared is
// not only the fsync but the round trips and the statements.
type group[T, R any] struct {
	flush   func(ctx context.Context, members []T) ([]R, error)
	lanes   int
	alone   bool        // no coalescing
	weight  func(T) int // what a member costs its batch; nil: 1 each
	callers prometheus.Observer
	panics  prometheus.Counter

	mu      sync.Mutex
	waiting []*groupCall[T, R]
	queued  int // weight of waiting
	running int
	began   time.Time // when a batch was begun last
}

type groupCall[T, R any] struct {
	members []T
	weight  int
	answers []R
	err     error
	done    chan struct{}
}

// do has members flushed and returns the answers to them. If ctx ends while they are still waiting they are not
// flushed; if a lane is flushing them already, the caller leaves and they go on. Who finds no lane flushes his own, and
// stays to the end.
//
// Errors: ErrUnavailable if too many are waiting; ctx's; and what flush returned for these members.
func (g *group[T, R]) do(ctx context.Context, members []T) ([]R, error) {
	if g.alone {
		return g.flush(ctx, members)
	}
	call := &groupCall[T, R]{members: members, weight: len(members), done: make(chan struct{})}
	if g.weight != nil {
		call.weight = 0
		for _, m := range members {
			call.weight += g.weight(m)
		}
	}
	g.mu.Lock()
	switch {
	case g.running == 0: // and nobody waits
		g.running++
		g.began = time.Now()
		g.mu.Unlock()
		g.lead(call)
		return call.answers, call.err
	case g.queued+call.weight > groupQueue && g.queued > 0:
		g.mu.Unlock()
		return nil, fmt.Errorf("%w: too many writes are waiting", ErrUnavailable)
	}
	g.waiting = append(g.waiting, call)
	g.queued += call.weight
	if g.running < g.lanes && g.worthLane() {
		g.running++
		go g.run()
	}
	g.mu.Unlock()

	select {
	case <-call.done:
		return call.answers, call.err
	case <-ctx.Done():
		g.leave(call)
		return nil, ctx.Err()
	}
}

// worthLane says that those who wait had better not wait for a lane that is flushing.
func (g *group[T, R]) worthLane() bool {
	return g.queued >= groupWorth || time.Since(g.began) > groupPatience
}

// leave takes a call out of the queue, if it is still there.
func (g *group[T, R]) leave(call *groupCall[T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, call); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		g.queued -= call.weight
	}
}

// lead flushes a call on its caller's goroutine: to wake up another one costs a lone caller a twentieth of his time. A
// lane goes on with those who have come meanwhile.
func (g *group[T, R]) lead(call *groupCall[T, R]) {
	g.commit([]*groupCall[T, R]{call})
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 {
		go g.run()
		return
	}
	g.running--
}

// run is a lane: it flushes batches until nobody waits, or too few for another lane than the one that remains.
func (g *group[T, R]) run() {
	for {
		// Whoever is about to join, such as those who have just been answered, does so first: it makes the batches
		// larger.
		runtime.Gosched()
		batch := g.take()
		if batch == nil {
			return
		}
		g.commit(batch)
	}
}

// commit flushes a batch and answers its calls.
func (g *group[T, R]) commit(batch []*groupCall[T, R]) {
	g.callers.Observe(float64(len(batch)))
	g.answer(batch)
	failpoint.Hit("group.flushed")
	for _, call := range batch {
		close(call.done)
	}
}

// take takes the calls of the next batch out of the queue; nil ends the lane.
func (g *group[T, R]) take() []*groupCall[T, R] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, weight := 0, 0
	for n < len(g.waiting) && (n == 0 || weight+g.waiting[n].weight <= groupBatch) {
		weight += g.waiting[n].weight
		n++
	}
	if n == 0 || g.running > 1 && !g.worthLane() {
		g.running--
		return nil
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.queued -= weight
	g.began = time.Now()
	return batch
}

// turnAway fails all who wait, when no connection could be had: each batch after this one would wait as long again.
func (g *group[T, R]) turnAway(err error) {
	g.mu.Lock()
	waiting := g.waiting
	g.waiting, g.queued = nil, 0
	g.mu.Unlock()
	for _, call := range waiting {
		call.err = err
		close(call.done)
	}
}

// answer flushes a batch. If it fails for a reason that may lie with one call, each call is flushed alone, so that
// it fails nobody but itself.
func (g *group[T, R]) answer(batch []*groupCall[T, R]) {
	var members []T
	for _, call := range batch {
		members = append(members, call.members...)
	}
	answers, err := g.safely(members)
	if errors.Is(err, errBusy) {
		g.turnAway(err)
	}
	if err != nil && len(batch) > 1 && mayBeOneMember(err) {
		g.answerEach(batch)
		return
	}
	for _, call := range batch {
		call.err = err
		if err == nil {
			call.answers, answers = answers[:len(call.members)], answers[len(call.members):]
		}
	}
	g.countPanic(err)
}

// answerEach flushes each call alone. If the database turns out to be what is slow, the rest need not find that out one
// after the other.
func (g *group[T, R]) answerEach(batch []*groupCall[T, R]) {
	var outage error
	outages := 0
	for _, call := range batch {
		if outages >= groupOutages {
			call.err = outage
			continue
		}
		call.answers, call.err = g.safely(call.members)
		g.countPanic(call.err)
		if pg, ok := errors.AsType[*pgconn.PgError](call.err); ok && pg.Code == lockTimeout {
			continue // that one's own
		}
		if call.err != nil && isOutage(call.err) {
			outage, outages = call.err, outages+1
		}
	}
}

func (g *group[T, R]) countPanic(err error) {
	if _, ok := errors.AsType[*panicError](err); ok && g.panics != nil {
		g.panics.Inc()
	}
}

// safely turns a panic into an error: it would end the process, out of reach of those who recover for the callers.
func (g *group[T, R]) safely(members []T) (answers []R, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return g.flush(context.Background(), members)
}
