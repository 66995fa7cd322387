// Package explain says where an order stands: what it waits for and why, what happens next, by when, and what a person
// may do about it. It is a function of what the store has. It reads nothing and decides nothing.
package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Explanation is where an order stands.
type Explanation struct {
	Order    orders.Order
	At       time.Time // of the evidence
	Standing string    // one sentence, without internals
	// Detail is the sentence for operators: it names processes, lanes and reasons.
	Detail  string
	Waits   []Wait // the open steps, in the order in which they started
	Next    *Next  // nil: nothing happens unless a person acts
	Actions []Action
}

// Next is what happens by itself, and when at the latest.
type Next struct {
	Event Event
	Step  orders.StepName
	By    time.Time
}

// Of explains an order.
func Of(e store.Evidence) Explanation {
	x := Explanation{Order: e.Order, At: e.At}
	for _, s := range e.Order.Steps {
		if s.State == orders.StatePending {
			x.Waits = append(x.Waits, waitOf(e, s))
		}
	}
	for _, w := range x.Waits {
		if !w.By.IsZero() && (x.Next == nil || w.By.Before(x.Next.By)) {
			x.Next = &Next{w.Next, w.Step.Name, w.By}
		}
	}
	x.Actions = actionsOf(e.Order, x.Waits)
	x.Standing, x.Detail = x.standing(false), x.standing(true)
	return x
}

// standing is one sentence; with details for operators.
func (x Explanation) standing(detailed bool) string {
	switch {
	case x.Order.Status == orders.NeedsAttention:
		return "Millrace cannot go on by itself, and an operator must decide: " + x.Order.Reason + "."
	case len(x.Waits) == 0 && !x.Order.Status.AtRest():
		return "Nothing of the order is under way, although it has not ended: an operator must look."
	case len(x.Waits) == 0 && x.Order.Reason != "":
		return fmt.Sprintf("It ended as %s: %s.", plain(string(x.Order.Status)), x.Order.Reason)
	case len(x.Waits) == 0:
		return "It ended as " + plain(string(x.Order.Status)) + ", and nothing of it is under way."
	}
	w := x.decisive()
	text := fmt.Sprintf("%s %s", x.purpose(), plain(string(w.Step.Name)))
	if others := len(x.Waits) - 1; others > 0 {
		text += fmt.Sprintf(" and %d more", others)
	}
	return text + ": " + w.text(detailed) + "."
}

func (x Explanation) purpose() string {
	switch {
	case x.Order.Status.AtRest():
		return "It is " + plain(string(x.Order.Status)) + ", and waits for"
	case x.Order.Goal == orders.GoalComplete:
		return "It waits for"
	}
	return "It is being undone, and waits for"
}

// decisive is the wait that ends last. A wait that does not end by itself counts as last of all.
func (x Explanation) decisive() Wait {
	last := x.Waits[0]
	for _, w := range x.Waits[1:] {
		if !last.By.IsZero() && (w.By.IsZero() || w.By.After(last.By)) {
			last = w
		}
	}
	return last
}

func plain(name string) string { return strings.ReplaceAll(name, "_", " ") }

func moment(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }
