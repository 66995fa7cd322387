package simulator

import (
	"encoding/json"
	"net/http"

	"github.com/millrace-orders/millrace/orders"
)

// Summary has the ledger's totals and its violations.
type Summary struct {
	Operations map[string]Total `json:"operations"`
	Violations []Violation      `json:"violations"` // none, if Millrace and the simulator are right
}

// Total is the sum of an operation's effects.
type Total struct {
	Count   int                             `json:"count"`
	Amounts map[orders.Currency]json.Number `json:"amounts,omitempty"`
	Units   int64                           `json:"units,omitempty"` // of reservations and releases

	minor map[orders.Currency]orders.Money
}

// Violation is a broken invariant.
type Violation struct {
	Rule     string          `json:"rule"`
	Provider orders.Provider `json:"provider"`
	Key      string          `json:"key"` // of the call that broke it
	OrderID  string          `json:"orderId"`
}

// Summary adds up the ledger. It checks the invariants from the entries alone and not from the rules' state: otherwise
// a mistake in the rules would hide itself.
func (s *Simulator) Summary() Summary {
	audit := audit{
		Summary:  Summary{Operations: map[string]Total{}, Violations: []Violation{}},
		executed: map[slot]bool{}, unrefunded: map[string]orders.Money{}, orders: map[string]*account{},
	}
	s.mu.Lock()
	ledger, changed := s.books.ledger, s.books.changed
	s.mu.Unlock()
	for _, r := range ledger {
		audit.add(r.Entry)
		audit.follow(r.Entry)
	}
	for _, r := range changed {
		audit.violated("bytes_changed", r.Entry)
	}
	return audit.Summary
}

func (s *Simulator) getSummary(*http.Request) answer { return s.durably(s.Summary()) }

// audit reads the ledger from its beginning.
type audit struct {
	Summary

	executed   map[slot]bool
	unrefunded map[string]orders.Money // by capture key
	orders     map[string]*account
}

// account is the state of an order.
type account struct {
	authorized, captured, refunded    orders.Money
	captures, shipments, reservations int // those that are not undone
}

// add counts an entry in its operation's total.
func (a *audit) add(e Entry) {
	total := a.Operations[e.Operation]
	total.Count++
	for _, item := range e.Items {
		total.Units += item.Quantity
	}
	if e.Amount != "" {
		if total.minor == nil {
			total.Amounts = map[orders.Currency]json.Number{}
			total.minor = map[orders.Currency]orders.Money{}
		}
		total.minor[e.Currency] += e.Money()
		total.Amounts[e.Currency] = json.Number(e.Currency.Format(total.minor[e.Currency]))
	}
	a.Operations[e.Operation] = total
}

// follow applies an entry to its order, and notes violations.
func (a *audit) follow(e Entry) {
	at := slot{e.Provider, e.Key}
	a.expect(!a.executed[at], "key_executed_twice", e)
	a.executed[at] = true

	o := a.orders[e.OrderID]
	if o == nil {
		o = &account{}
		a.orders[e.OrderID] = o
	}
	switch e.Operation {
	case authorize:
		o.authorized += e.Money()
	case capture:
		o.captured += e.Money()
		o.captures++
		a.unrefunded[e.Key] = e.Money()
		a.expect(o.captured <= o.authorized, "captured_more_than_authorized", e)
		a.expect(o.captures <= 1, "two_captures", e)
	case refund:
		o.refunded += e.Money()
		a.unrefunded[e.RefersTo] -= e.Money()
		if a.unrefunded[e.RefersTo] == 0 {
			o.captures--
		}
		a.expect(o.refunded <= o.captured, "refunded_more_than_captured", e)
	case ship:
		o.shipments++
		a.expect(o.shipments <= 1, "two_shipments", e)
	case cancelShipment:
		o.shipments--
	case reserve:
		o.reservations++
		a.expect(o.reservations <= 1, "two_live_reservations", e)
	case release:
		o.reservations--
	}
}

func (a *audit) expect(holds bool, rule string, e Entry) {
	if !holds {
		a.violated(rule, e)
	}
}

func (a *audit) violated(rule string, e Entry) {
	a.Violations = append(a.Violations, Violation{rule, e.Provider, e.Key, e.OrderID})
}
