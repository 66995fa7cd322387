package explain

import (
	"fmt"
	"slices"

	"github.com/millrace-orders/millrace/orders"
)

// Action is what a person may do, as the exact call.
type Action struct {
	What    string // in one sentence
	Method  string // empty: the action is a command
	Path    string
	Body    string // JSON; empty if the call needs none
	Command string // on the command line; empty if the action is a call
	Ops     bool   // Path is of the operations address, not of the API
	// Owner: the order's customer may do it, too. Otherwise it is for operators.
	Owner bool
}

// actionsOf lists what the order allows. Decide says so itself: an action is listed if it would change something.
func actionsOf(o orders.Order, waits []Wait) (list []Action) {
	for _, w := range waits {
		list = add(list, unblock(w))
	}
	call := func(owner bool, what, verb, body string, e orders.Event) {
		e.OrderID, e.At = o.ID, o.UpdatedAt
		if _, err := orders.Decide(o, e); err == nil && orders.Admit(&o, e) == nil {
			list = append(list, Action{
				What: what, Method: "POST", Path: "/api/orders/" + o.ID.String() + "/" + verb, Body: body, Owner: owner,
			})
		}
	}
	const reason = `"reason":"REASON"}`
	call(true, "Cancel the order: what was done is undone.", "cancel", "", orders.Event{Kind: orders.CancelRequested})
	call(true, "Refund what is left of the money.", "refunds", "", orders.Event{Kind: orders.RefundRequested})
	call(false, "Try the steps that cannot finish again.", "settle", `{"action":"retry",`+reason,
		orders.Event{Kind: orders.RetryRequested})
	call(false, "Undo everything that happened or may have happened.", "settle", `{"action":"compensate",`+reason,
		orders.Event{Kind: orders.UndoRequested})
	declared := func(s orders.Step, outcome string, kind orders.EventKind, what string) {
		call(false, what, "settle", fmt.Sprintf(`{"action":"accept","step":%q,"generation":%d,"outcome":%q,`+reason, s.Name,
			s.Generation, outcome), orders.Event{Kind: kind, Step: s.Name, Generation: s.Generation})
	}
	if o.Status == orders.NeedsAttention {
		for _, s := range o.Stuck() {
			name := plain(string(s.Name))
			declared(s, "succeeded", orders.SuccessDeclared, "Declare that "+name+" took effect.")
			declared(s, "refused", orders.RefusalDeclared, "Declare that "+name+" did not take effect.")
		}
		return list
	}
	if o.Status.AtRest() {
		for _, s := range o.Steps {
			declared(s, "succeeded", orders.SuccessDeclared,
				"Only if "+plain(string(s.Name))+" took effect after all: declare it, and it is undone.")
		}
		return list
	}
	if len(waits) == 0 {
		list = append(list, Action{What: "Verify the order, and report what it finds.", Command: "millrace verify"})
	}
	return list
}

// unblock is what ends a wait sooner.
func unblock(w Wait) Action {
	switch w.Cause {
	case LanePaused:
		return Action{
			What: "Resume the lane " + string(w.Provider) + ".", Method: "POST",
			Path: "/api/system/lanes/" + string(w.Provider) + "/resume",
		}
	case QueuePaused:
		return Action{
			What: "Resume the queue " + w.Queue + " in River UI.", Method: "PUT",
			Path: "/riverui/api/queues/" + w.Queue + "/resume", Ops: true,
		}
	case NoWorker:
		return Action{What: "Start a process with workers.", Command: "millrace work"}
	case Running, Carrier, Queued, Backoff, BreakerOpen, JobLost, ProcessLost, ProcessStuck:
	}
	return Action{}
}

// add appends an action once.
func add(list []Action, a Action) []Action {
	if a == (Action{}) || slices.Contains(list, a) {
		return list
	}
	return append(list, a)
}
