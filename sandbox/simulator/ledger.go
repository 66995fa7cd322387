package simulator

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// Entry is an effect that really happened. Refusals, undos that found nothing and repeated keys are not effects.
type Entry struct {
	Provider  orders.Provider `json:"provider,omitempty"`
	Operation string          `json:"operation,omitempty"`
	Key       string          `json:"key,omitempty"`
	OrderID   string          `json:"orderId,omitempty"`
	RefersTo  string          `json:"refersTo,omitempty"` // the key of what it captures, ships or undoes

	Amount   json.Number     `json:"amount,omitempty"` // in the currency's units; of a void: what was released
	Currency orders.Currency `json:"currency,omitempty"`
	Items    []Item          `json:"items,omitempty"`    // of a reservation and its release
	Template string          `json:"template,omitempty"` // of an e-mail
	To       string          `json:"to,omitempty"`       // likewise, if the order has an address

	ID            string    `json:"id,omitempty"`
	At            time.Time `json:"at,omitzero"`
	RequestSHA256 string    `json:"requestSha256,omitempty"` // of the request's body, in hex
}

// Item is a quantity of a product.
type Item struct {
	ProductID int64       `json:"productId"`
	Quantity  int64       `json:"quantity"`
	Price     json.Number `json:"price,omitempty"` // of one piece
}

// Money is the amount in minor units; 0 if there is none.
func (e Entry) Money() orders.Money {
	m, _ := e.Currency.Parse(string(e.Amount)) // Format has written it, or it is empty
	return m
}

// Ledger lists the effects in the order in which they happened.
func (s *Simulator) Ledger() []Entry { return s.entries(func(Entry) bool { return true }) }

func (s *Simulator) entries(keep func(Entry) bool) []Entry {
	s.mu.Lock()
	ledger := s.books.ledger // the ledger only grows, and its records do not change
	s.mu.Unlock()
	entries := []Entry{}
	for _, r := range ledger {
		if keep(r.Entry) {
			entries = append(entries, r.Entry)
		}
	}
	return entries
}

func (s *Simulator) getLedger(r *http.Request) answer {
	query := r.URL.Query()
	order, operation := query.Get("orderId"), query.Get("operation")
	entries := s.entries(func(e Entry) bool {
		return (order == "" || e.OrderID == order) && (operation == "" || e.Operation == operation)
	})
	return s.durably(entries)
}

// durably answers once all records that the body can show are on disk.
func (s *Simulator) durably(body any) answer {
	if err := s.journal.flush(); err != nil {
		return s.ledgerFailed(err)
	}
	return ok(body)
}
