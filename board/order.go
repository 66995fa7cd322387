package board

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/explain"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
)

// mostEvents is how many events a page of an order has. An order has some ten.
const mostEvents = 500

// mostMails is how many e-mails a page of an order has.
const mostMails = 20

type orderData struct {
	orders.Order

	At     time.Time
	Events []orders.Event
	More   bool // there are more events than the page has
	Waits  []orders.Step
	// Explained says why the order waits, and what happens next.
	Explained explain.Explanation
	Belongs   store.Belongings
	Mails     []mail
}

// mail is an e-mail about the order. The board shows no address.
type mail struct {
	Generation int
	State      orders.NotificationState
	At         time.Time
}

// Money formats an amount in the order's currency.
func (d orderData) Money(m orders.Money) string {
	return d.Currency.Format(m) + " " + string(d.Currency)
}

// Key is the idempotency key of a step at its provider.
func (d orderData) Key(s orders.Step) string { return orders.StepKey(d.ID, s.Name, s.KeyGeneration) }

// TraceID is the trace of the request that placed the order; empty if it has none.
func (d orderData) TraceID() string { return trace.IDOf(d.Origin.Traceparent) }

// Tone chooses how the order's status is marked.
func (d orderData) Tone() string {
	switch d.Status {
	case orders.Completed, orders.Refunded, orders.Cancelled:
		return "good"
	case orders.NeedsAttention:
		return "bad"
	case orders.Failed:
		return "warn"
	case orders.Pending, orders.Processing:
	}
	return ""
}

// Overdue reports whether a step is past its deadline. It is then given up within the next minute.
func (d orderData) Overdue(s orders.Step) bool { return s.DeadlineAt.Before(d.At) }

// Standing says where the order stands, in one sentence.
func (d orderData) Standing() string { return d.Explained.Detail }

func (b *board) order(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		b.missing(w, r, "This is not the id of an order.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	d := orderData{At: b.config.Now()}
	evidence, err := b.config.Store.Orders.Evidence(ctx, id)
	if errors.Is(err, orders.ErrNotFound) {
		b.missing(w, r, "There is no order with this id.")
		return
	}
	if err == nil {
		d.Order, d.Explained = evidence.Order, explain.Of(evidence)
		d.Events, err = b.config.Store.Orders.Events(ctx, id, 0, mostEvents+1)
	}
	if err == nil {
		d.Belongs, err = b.config.Store.Orders.Belongings(ctx, &d.Order)
	}
	if err != nil {
		b.fail(w, r, err)
		return
	}
	if d.More = len(d.Events) > mostEvents; d.More {
		d.Events = d.Events[:mostEvents]
	}
	for _, s := range d.Steps {
		if s.State == orders.StatePending {
			d.Waits = append(d.Waits, s)
		}
		if s.Name == orders.SendEmail {
			m := mail{s.Generation, orders.NotificationStateOf(s.State, s.Reason), s.StartedAt}
			if !s.SettledAt.IsZero() {
				m.At = s.SettledAt
			}
			d.Mails = append(d.Mails, m)
		}
	}
	d.Mails = d.Mails[max(0, len(d.Mails)-mostMails):]
	slices.SortFunc(d.Waits, func(a, b orders.Step) int { return a.DeadlineAt.Compare(b.DeadlineAt) })
	b.show(w, r, http.StatusOK, "order", "Order "+id.String(), d)
}
