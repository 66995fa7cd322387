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
	"github.com/millrace-orders/millrace/trace"
)

const (
	// groupLanes is how many batches may be in the database at a time: one is put together while the other is being
	// committed. More lanes only make the batches smaller.
	groupLanes = 2
	// groupWorth is how many waiting members justify a second lane. Fewer members wait for the first lane's commit, which
	// costs less than a commit of their own.
	groupWorth = 32
	// groupPatience is how long a batch may take before a second lane is justified. A batch that takes longer waits for a
	// lock or a lost packet, and not for its commit.
	groupPatience = 50 * time.Millisecond
	groupBatch    = 128  // weight of a batch's members
	groupQueue    = 4096 // weight of waiting members; further calls are turned away
	// groupOutages is how many calls of a slow batch, tried one by one, may find the database unreachable before the
	// others fail without a try.
	groupOutages = 2
)

// group is a group commit: calls that arrive while a batch is being committed are committed together, in the next
// batch. A lone caller does not wait. Each caller gets the results of its own members.
//
// Source: the idea is that of commit_delay in Postgres and of every write-ahead log, one level up. Callers share not
// only the fsync but also the round trips and the statements.
type group[T, R any] struct {
	flush   func(ctx context.Context, members []T) ([]R, error)
	name    string // of the commits' spans
	lanes   int
	alone   bool        // each call commits by itself
	weight  func(T) int // what a member adds to its batch; nil: 1 each
	callers prometheus.Observer
	panics  prometheus.Counter

	mu      sync.Mutex
	waiting []*groupCall[T, R]
	queued  int // weight of the waiting calls
	running int
	began   time.Time // when the latest batch began
}

type groupCall[T, R any] struct {
	members []T
	weight  int
	answers []R
	err     error
	callers int         // of its batch
	from    trace.Point // where it comes from
	commit  trace.Point // its batch
	done    chan struct{}
}

// do commits members and returns their results, in order. If no batch is running, the caller becomes the leader and
// commits its own members. Otherwise they join the next batch. If ctx ends before that batch starts, they are dropped.
// If ctx ends later, do returns ctx's error and the batch goes on.
//
// Errors: ErrUnavailable if too many members wait; ctx's error; and the error that flush returned for these members.
func (g *group[T, R]) do(ctx context.Context, members []T) ([]R, error) {
	if g.alone {
		return g.flush(ctx, members)
	}
	scope := trace.ScopeOf(ctx)
	defer waited(ctx, time.Now())
	call := &groupCall[T, R]{
		members: members, weight: len(members), from: trace.PointOf(ctx), done: make(chan struct{}),
	}
	if g.weight != nil {
		call.weight = 0
		for _, m := range members {
			call.weight += g.weight(m)
		}
	}
	g.mu.Lock()
	switch {
	case g.running == 0: // so no call waits
		g.running++
		g.began = time.Now()
		g.mu.Unlock()
		g.lead(call)
		scope.Committed(call.callers)
		trace.Shared(ctx, call.commit)
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
		scope.Committed(call.callers)
		trace.Shared(ctx, call.commit)
		return call.answers, call.err
	case <-ctx.Done():
		g.leave(call)
		return nil, ctx.Err()
	}
}

// worthLane reports whether the waiting calls justify a second lane.
func (g *group[T, R]) worthLane() bool {
	return g.queued >= groupWorth || time.Since(g.began) > groupPatience
}

// leave removes a call from the queue, if it still waits.
func (g *group[T, R]) leave(call *groupCall[T, R]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, call); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		g.queued -= call.weight
	}
}

// lead commits a call on its caller's goroutine: waking another goroutine costs a lone caller 5 %. A lane then commits
// the calls that arrived meanwhile.
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

// run is a lane: it commits batches until no call waits, or until the waiting calls no longer justify a second lane.
func (g *group[T, R]) run() {
	for {
		// Callers that are about to join, such as those that were just answered, join first: it makes the batches larger.
		runtime.Gosched()
		batch := g.take()
		if batch == nil {
			return
		}
		g.commit(batch)
	}
}

// commit flushes a batch and wakes its callers.
func (g *group[T, R]) commit(batch []*groupCall[T, R]) {
	g.callers.Observe(float64(len(batch)))
	span := g.trace(batch)
	g.answer(batch)
	span.End()
	failpoint.Hit("group.flushed")
	for _, call := range batch {
		close(call.done)
	}
}

// trace begins the span of a batch. All of its callers link to it.
func (g *group[T, R]) trace(batch []*groupCall[T, R]) trace.Span {
	var one [1]trace.Point // of a lone caller, without an allocation
	from := one[:0]
	for _, call := range batch {
		from = append(from, call.from)
	}
	_, span := trace.Commit(context.Background(), g.name, from)
	for _, call := range batch {
		call.callers, call.commit = len(batch), span.Point()
	}
	return span
}

// take removes the calls of the next batch from the queue; nil ends the lane.
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

// turnAway fails all waiting calls after a batch found no connection: each later batch would wait as long again.
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

// answer flushes a batch. If one call may be the reason of a failure, each call is flushed alone, so that it fails no
// other call.
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

// answerEach flushes each call alone. After some calls found the database slow or unreachable, the rest fail at once,
// because each would wait as long again.
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
			continue // a lock on this call's own order
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

// safely turns a panic into an error. On this goroutine a panic would end the process: the callers' handlers cannot
// recover from it.
func (g *group[T, R]) safely(members []T) (answers []R, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return g.flush(context.Background(), members)
}
