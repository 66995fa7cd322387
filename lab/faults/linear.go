package main

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is an order as its customers may see it: created at some moment, with a version that only grows, and never
// completed after an accepted cancellation. The saga continues by itself, so an answer may show any later version.
type register struct {
	created, cancelled bool
	version            int64
	status             string
}

// linearizable checks I18 with Porcupine, order by order. An operation without an answer stays open: it may have taken
// effect at any later time, or never.
func (c *checker) linearizable() {
	histories := map[string][]porcupine.Operation{}
	for i, o := range c.journal.operations() {
		end := o.Return
		if !o.answered() {
			end = math.MaxInt64
		}
		histories[o.Order] = append(histories[o.Order], porcupine.Operation{
			ClientId: i, Input: o.Kind, Call: o.Call, Output: o, Return: end,
		})
	}
	model := porcupine.Model{
		Init: func() any { return register{} },
		Step: func(state, _, output any) (bool, any) { return state.(register).step(output.(operation)) },
	}
	for order, history := range histories {
		if porcupine.CheckOperationsTimeout(model, history, 10*time.Second) == porcupine.Illegal {
			c.violated("I18", "the history of order %s is not linearizable", order)
		}
	}
}

func (r register) step(o operation) (bool, register) {
	switch {
	case !o.answered():
		if o.Kind == opCancel {
			return r.created, r // its effect may or may not be visible to others
		}
		r.created = true
		return true, r
	case o.Kind == opPlace:
		if o.accepted() {
			r.created = true
		}
		return o.accepted() == r.created, r
	case !r.created:
		return false, r
	case o.Kind == opRefund, o.Replayed: // answers with what was
		return true, r
	case !o.accepted(): // at rest, and no more to be cancelled
		return o.Kind == opCancel && !r.cancelled, r
	}
	if o.Version < r.version || o.Version == r.version && o.Status != r.status {
		return false, r
	}
	r.version, r.status = o.Version, o.Status
	r.cancelled = r.cancelled || o.Kind == opCancel
	return !r.cancelled || r.status != "completed", r
}
