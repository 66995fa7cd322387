package jobs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
)

const (
	// carryFor is how long a job begins further steps of its order. Going on costs less than handing over, most of all
	// where the machine is overloaded and each step takes long. With a step that waits, asks and sends, the job stays
	// within carryTimeout.
	carryFor     = 15 * time.Second
	carryTimeout = 45 * time.Second
	// retryFor is how long a job tries steps again. Afterwards the retries show in their provider's queue.
	retryFor = 5 * time.Second
	// gatherFor is how long the first outcome waits for outcomes of steps that run beside it: they share a commit.
	gatherFor = 5 * time.Millisecond
)

// carrier carries out steps, and the steps that their outcomes start, within the job that began. All jobs of a process
// share it.
type carrier struct {
	*shared

	lanes map[orders.Provider]*lane
	busy  atomic.Int64 // jobs that carry
}

func newCarrier(s *shared) *carrier {
	c := &carrier{shared: s, lanes: map[orders.Provider]*lane{}}
	for _, p := range orders.Providers() {
		c.lanes[p] = &lane{capacity: s.Workers}
	}
	s.metrics.observeLanes(c.lanes)
	return c
}

// task is a step to carry out.
type task struct {
	orders.StepJob

	intent store.Intent
	known  bool  // whether the intent is at hand; otherwise it is read
	tries  int   // attempts so far
	err    error // why the last attempt has no outcome; nil if none was made
}

// result is how an attempt ended: with an event, with the task's error, or with neither, if the step needs nothing any
// more.
type result struct {
	task

	event orders.Event
}

// voyage is the work of one job on one order.
type voyage struct {
	*carrier

	began   time.Time
	results chan *result                // a pointer: the room for them is much larger than their usual number
	flying  int                         // attempts that have not sent their result
	goal    atomic.Pointer[orders.Goal] // of the order after the latest outcome; nil before
	left    []task
	embark  sync.Once
	span    trace.Span // of the job's run; begun when the order's place in a trace is known
}

// carry carries out tasks of an order side by side, applies their outcomes, and goes on with the steps that these
// start. It returns the tasks that it cannot finish now. After an error all steps that have no outcome in the database
// are still pending there.
func (c *carrier) carry(ctx context.Context, tasks []task) (left []task, err error) {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	v := &voyage{
		carrier: c, began: time.Now(),
		// Room for more results than attempts can be under way: none must block when carry has returned.
		results: make(chan *result, len(tasks)+4*len(orders.Specs())),
	}
	defer v.end()
	for {
		got := v.run(ctx, tasks)
		if len(got) == 0 {
			return v.left, nil
		}
		if tasks, err = v.apply(ctx, v.sort(ctx, got)); err != nil {
			return nil, err
		}
	}
}

// run starts tasks and returns the next results; none if no attempt is under way. A task that is alone runs on the
// caller's goroutine.
func (v *voyage) run(ctx context.Context, tasks []task) []result {
	if v.flying == 0 && len(tasks) == 1 {
		return []result{v.attempt(ctx, tasks[0])}
	}
	for _, t := range tasks {
		v.flying++
		go func() { v.results <- new(v.attempt(ctx, t)) }()
	}
	if v.flying == 0 {
		return nil
	}
	return v.gather()
}

// gather waits for a result, and for a moment for further ones.
func (v *voyage) gather() []result {
	got := []result{*<-v.results}
	if v.flying--; v.flying == 0 {
		return got
	}
	timer := time.NewTimer(gatherFor)
	defer timer.Stop()
	for v.flying > 0 {
		select {
		case r := <-v.results:
			got = append(got, *r)
			v.flying--
		case <-timer.C:
			return got
		}
	}
	return got
}

// sort returns the outcomes among results. A task without one is tried again in this job if that is due soon, and left
// otherwise.
func (v *voyage) sort(ctx context.Context, got []result) (events []orders.Event) {
	for _, r := range got {
		switch wait, stays := v.stays(ctx, r.task); {
		case r.event.Kind != "":
			events = append(events, r.event)
			v.efforts.note(r)
		case r.err == nil, errors.Is(r.err, orders.ErrNotFound):
			// Another run of the step was first, or the order is gone.
		case stays:
			v.flying++
			go func() { v.results <- new(v.again(ctx, r.task, wait)) }()
		default:
			v.left = append(v.left, r.task)
		}
	}
	return events
}

// apply applies outcomes and returns the steps that they start as tasks, unless the job has carried for long enough.
func (v *voyage) apply(ctx context.Context, events []orders.Event) (tasks []task, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	failpoint.Hit("step.before_apply")
	ctx = v.span.Into(ctx)
	applied, err := v.Store.Orders.Carry(ctx, events)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("step.applied")
	for _, a := range applied {
		v.report(ctx, a)
		if err == nil {
			err = a.Err
		}
		v.goal.Store(&a.Order.Goal)
		for i := range a.Started {
			t := task{StepJob: orders.JobOf(a.Order.ID, &a.Started[i])}
			t.intent, t.known = store.IntentOf(&a.Order, &a.Started[i])
			tasks = append(tasks, t)
		}
	}
	if err == nil && v.over(ctx) {
		v.left, tasks = append(v.left, tasks...), nil
	}
	return tasks, err
}

// over reports whether the job should begin no further step.
func (v *voyage) over(ctx context.Context) bool {
	return time.Since(v.began) > carryFor || ctx.Err() != nil || v.isStopping()
}

// isStopping reports whether this process stops its workers.
func (s *shared) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// aboard returns a context for work on the order, below the span of the job's run.
func (v *voyage) aboard(ctx context.Context, id orders.ID, o orders.Origin) context.Context {
	v.embark.Do(func() { _, v.span = v.Tracer.Job(ctx, orders.CarryQueue, id, o, v.began) })
	return trace.OrderOf(v.span.Into(ctx), id, o)
}

// end ends the span of the job's run, once no attempt can begin it.
func (v *voyage) end() {
	v.embark.Do(func() {})
	v.span.End()
}
