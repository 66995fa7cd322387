package simulator

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// listed is an effect in the contract's form.
type listed struct {
	Key       string    `json:"key"`
	OrderID   string    `json:"orderId"`
	Operation string    `json:"operation"` // as in the path that it was posted to
	ID        string    `json:"id"`
	Amount    any       `json:"amount,omitempty"`
	Currency  string    `json:"currency,omitempty"`
	Units     int64     `json:"units,omitempty"` // of reservations and releases
	At        time.Time `json:"at"`
}

type listing struct {
	Operations []listed `json:"operations"`
	Next       string   `json:"next,omitempty"`
}

// listOperations lists what took effect at a provider in a span of time, in the ledger's order. The cursor is the
// number of ledger entries that were read, because the ledger only grows.
func (s *Simulator) listOperations(p orders.Provider) func(*http.Request) answer {
	paths := map[string]string{}
	for _, o := range operations() {
		paths[o.name] = strings.TrimPrefix(o.path, "/")
	}
	return func(r *http.Request) answer {
		if a, struck := s.strike(r.Context(), s.dice.roll(p, listName)); struck {
			return a
		}
		span, err := readSpan(r.URL.Query())
		if err != nil {
			return badRequest(err)
		}
		s.mu.Lock()
		ledger := s.books.ledger
		s.mu.Unlock()
		page := listing{Operations: []listed{}}
		for i := span.cursor; i < len(ledger); i++ {
			e := ledger[i].Entry
			if e.Provider != p || e.At.Before(span.since) || !e.At.Before(span.until) {
				continue
			}
			if len(page.Operations) == span.limit {
				page.Next = strconv.Itoa(i)
				break
			}
			entry := listed{
				Key: e.Key, OrderID: e.OrderID, Operation: paths[e.Operation], ID: e.ID, At: e.At,
				Currency: string(e.Currency),
			}
			if e.Amount != "" {
				entry.Amount = e.Amount
			} else {
				entry.Currency = ""
			}
			for _, item := range e.Items {
				entry.Units += item.Quantity
			}
			page.Operations = append(page.Operations, entry)
		}
		return s.durably(page)
	}
}

type span struct {
	since, until  time.Time
	cursor, limit int
}

func readSpan(q url.Values) (s span, err error) {
	var errs [4]error
	s.since, errs[0] = time.Parse(time.RFC3339Nano, q.Get("since"))
	s.until, errs[1] = time.Parse(time.RFC3339Nano, q.Get("until"))
	s.limit, errs[2] = strconv.Atoi(q.Get("limit"))
	if q.Get("cursor") != "" {
		s.cursor, errs[3] = strconv.Atoi(q.Get("cursor"))
	}
	if err := errors.Join(errs[:]...); err != nil {
		return s, fmt.Errorf("since, until, limit or cursor: %w", err)
	}
	if s.limit < 1 || s.limit > 1000 || s.cursor < 0 {
		return s, errors.New("limit must be 1 to 1000, and cursor one that was handed out")
	}
	return s, nil
}
