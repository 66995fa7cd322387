package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

func modelRows() []row {
	return []row{{
		id: "F51", name: "the saga alone: random schedules of workers, customers, time and providers that lie", short: true,
		expected: "at rest, money and goods are where the status says", apart: true, run: modelRun,
	}}
}

// modelRun runs many orders through random schedules. Each schedule has its own dice, so that its number replays it.
func modelRun(ctx context.Context, r *run) error {
	schedules := size(r, uint64(100_000), 1_000_000)
	var next, events atomic.Uint64
	var all sync.WaitGroup
	var mu sync.Mutex
	ended := map[orders.Status]int{}
	start := time.Now()
	for range runtime.NumCPU() {
		all.Go(func() {
			for n := next.Add(1); n <= schedules && ctx.Err() == nil; n = next.Add(1) {
				m := newModel(r.seed, n)
				why := m.run()
				events.Add(uint64(m.order.Version))
				mu.Lock()
				ended[m.order.Status]++
				if why != "" && len(r.failed) < 10 {
					r.expect(false, "schedule %d: %s", n, why)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.figure("schedules", "%d", schedules)
	r.figure("events", "%d", events.Load())
	r.figure("schedules per second", "%.0f", float64(schedules)/time.Since(start).Seconds())
	for _, status := range orders.Statuses() {
		if n := ended[status]; n > 0 {
			r.figure(string(status), "%d", n)
		}
	}
	return ctx.Err()
}

// model is one order, the workers that carry out its steps, a clock, and the providers' knowledge. The providers follow
// docs/providers.md. They may lose answers, fail and refuse at random, but never forget.
type model struct {
	random *rand.Rand
	now    time.Time
	order  orders.Order
	log    []orders.Event
	// late are outcomes that workers know and have not applied: the outcomes of a frozen worker, or of one of two workers.
	late []orders.Event
	// frozen are workers that stopped right before they sent their step, and continue at any time.
	frozen  []orders.Step
	done    map[string]orders.Step // the effects, by key
	refused map[string]bool
	barred  map[string]bool // undone keys, which must never take effect
	mayFail bool            // compensations may be refused
}

func newModel(seed, n uint64) *model {
	m := &model{
		random: rand.New(rand.NewPCG(seed, n)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		done: map[string]orders.Step{}, refused: map[string]bool{}, barred: map[string]bool{},
	}
	m.mayFail = m.random.IntN(4) == 0
	decision := orders.Place(orders.Placement{
		Principal: "model", CustomerID: "1", Currency: orders.USD,
		Items: []orders.Item{{ProductID: 1, Quantity: 3, Price: 1000}},
	}, orders.ID{15: 1}, m.now)
	m.order, m.log = decision.Order, []orders.Event{decision.Event}
	return m
}

const longest = 2000 // turns of a schedule; in that time every deadline passes many times

// run plays the schedule and returns what is wrong at its end; empty if all is right.
func (m *model) run() string {
	for turn := 0; ; turn++ {
		pending := slices.DeleteFunc(slices.Clone(m.order.Steps), func(s orders.Step) bool {
			return s.State != orders.StatePending
		})
		switch {
		case m.order.Status.AtRest() && len(pending) == 0 && len(m.late)+len(m.frozen) == 0:
			if m.order.Status == orders.Completed && m.random.IntN(3) == 0 {
				m.apply(orders.Event{Kind: orders.RefundRequested, Amount: orders.Money(m.random.Int64N(3001))})
				continue
			}
			return m.judge()
		case !m.order.Status.AtRest() && len(pending) == 0:
			return fmt.Sprintf("%s, and waits for nothing", m.order.Status)
		case turn == longest:
			return "does not come to rest"
		}
		m.now = m.now.Add(time.Duration(m.random.ExpFloat64() * float64(time.Minute)))
		switch dice := m.random.IntN(20); {
		case dice == 0:
			m.apply(orders.Event{Kind: orders.CancelRequested})
		case dice <= 2 && len(m.late) > 0: // late answers may come in any order, and twice
			i := m.random.IntN(len(m.late))
			m.apply(m.late[i])
			if m.random.IntN(2) == 0 {
				m.late = slices.Delete(m.late, i, i+1)
			}
		case dice <= 4 && len(m.frozen) > 0:
			s := m.frozen[0]
			m.frozen = m.frozen[1:]
			m.answer(s, m.send(s, m.key(s)), "late")
		case len(pending) > 0:
			m.work(pending[m.random.IntN(len(pending))])
		}
	}
}

func (m *model) apply(e orders.Event) {
	e.OrderID, e.At = m.order.ID, m.now
	if decision, err := orders.Decide(m.order, e); err == nil {
		m.order = decision.Order
		m.log = append(m.log, decision.Event)
	}
}

// work is one run of a job, as in jobs/step.go.
func (m *model) work(s orders.Step) {
	spec, _ := s.Name.Spec()
	if spec.Role == orders.Forward && m.order.Goal != orders.GoalComplete && m.random.IntN(2) == 0 {
		m.answer(s, orders.StepUnknown, "abandoned")
		return
	}
	switch late := m.now.Sub(s.DeadlineAt); {
	case late >= 0 && m.random.IntN(2) == 0 && late < 15*time.Minute: // it does not answer
	case late >= 0:
		m.answer(s, m.ask(m.key(s)), "deadline")
	case m.random.IntN(4) == 0: // the provider is down, or hangs
	case m.random.IntN(10) == 0:
		m.frozen = append(m.frozen, s)
	default:
		if outcome := m.send(s, m.key(s)); m.random.IntN(4) > 0 { // otherwise the answer is lost
			m.answer(s, outcome, "answer")
		}
	}
}

func (m *model) key(s orders.Step) string { return orders.StepKey(m.order.ID, s.Name, s.Generation) }

// answer has a worker apply an outcome, now or later.
func (m *model) answer(s orders.Step, kind orders.EventKind, reason string) {
	outcome := orders.Event{Kind: kind, Step: s.Name, Generation: s.Generation, Reason: reason}
	if m.random.IntN(6) == 0 {
		m.late = append(m.late, outcome) // a different worker acts first
		return
	}
	m.apply(outcome)
}

func (m *model) ask(key string) orders.EventKind {
	switch _, took := m.done[key]; {
	case took:
		return orders.StepSucceeded
	case m.refused[key]:
		return orders.StepRefused
	}
	return orders.StepUnknown
}

// send has the provider decide, once for each key.
func (m *model) send(s orders.Step, key string) orders.EventKind {
	if known := m.ask(key); known != orders.StepUnknown {
		return known
	}
	undoes := s.Name.Undoes()
	spec, _ := s.Name.Spec()
	refuses := m.random.IntN(8) == 0 && (spec.Role != orders.Compensation || m.mayFail)
	if m.barred[key] || refuses {
		m.refused[key] = true
		return orders.StepRefused
	}
	if undoes != "" {
		m.barred[orders.StepKey(m.order.ID, undoes, 1)] = true
	}
	m.done[key] = s
	return orders.StepSucceeded
}

// judge compares the order's state with the providers' effects.
func (m *model) judge() string {
	o := m.order
	took := func(name orders.StepName) bool {
		_, ok := m.done[orders.StepKey(o.ID, name, 1)]
		return ok
	}
	undone := func(name, undo orders.StepName) bool { return !took(name) || took(undo) }
	var refunded orders.Money
	for _, s := range m.done {
		if s.Name == orders.RefundPayment {
			refunded += s.Amount
		}
	}
	folded, err := orders.Fold(o, m.log)
	switch {
	case err != nil || folded.Status != o.Status || folded.Version != o.Version || folded.Refunded != o.Refunded:
		return fmt.Sprintf("its log makes another order: %v", err)
	case refunded > o.Total:
		return fmt.Sprintf("%d refunded of %d", refunded, o.Total)
	case o.Status == orders.NeedsAttention:
		if o.Reason == "" {
			return "needs attention, and does not say why"
		}
	case o.Goal == orders.GoalComplete:
		for _, name := range []orders.StepName{
			orders.AuthorizePayment, orders.ReserveInventory, orders.CapturePayment, orders.BookShipment,
		} {
			if !took(name) {
				return fmt.Sprintf("%s without %s", o.Status, name)
			}
		}
		if refunded != o.Refunded {
			return fmt.Sprintf("%d were refunded, and the order says %d", refunded, o.Refunded)
		}
	case !undone(orders.AuthorizePayment, orders.VoidPayment) ||
		!undone(orders.ReserveInventory, orders.ReleaseInventory) ||
		!undone(orders.CapturePayment, orders.RefundPayment) || !undone(orders.BookShipment, orders.CancelShipment):
		return string(o.Status) + " with effects left"
	}
	return ""
}
