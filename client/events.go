package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ogen-go/ogen/sse"

	"github.com/millrace-orders/millrace/client/oas"
)

// Event is something that happened to an order.
type Event struct {
	OrderID  string
	Version  int64 // the order's version after the event: 1, 2, 3 and so on without gaps
	Type     EventType
	Kind     EventKind
	Status   Status // the order's status after the event
	Progress int    // percent of the steps to completion that were done after the event
	Message  string // what happened, in one sentence
	Step     StepName
	Reason   string // why Step was refused or has no known outcome, or the operator's reason for that outcome
	Actor    string // the principal behind the event; empty for customers
	At       time.Time
}

// EventType is the kind of message that an event is to a listener. More may be added.
type EventType = oas.EventType

// The types of events.
const (
	OrderCreated            = oas.EventTypeOrderCreated
	OrderStatusUpdated      = oas.EventTypeOrderStatusUpdated
	OrderProcessingProgress = oas.EventTypeOrderProcessingProgress
)

// EventKind is what an event records, for example step_succeeded.
type EventKind = oas.EventKind

// The kinds of events. More may be added.
const (
	KindOrderPlaced     = oas.EventKindOrderPlaced
	KindCancelRequested = oas.EventKindCancelRequested
	KindRefundRequested = oas.EventKindRefundRequested
	KindRetryRequested  = oas.EventKindRetryRequested
	KindUndoRequested   = oas.EventKindUndoRequested
	KindSuccessDeclared = oas.EventKindSuccessDeclared
	KindRefusalDeclared = oas.EventKindRefusalDeclared
	KindStepSucceeded   = oas.EventKindStepSucceeded
	KindStepRefused     = oas.EventKindStepRefused
	KindStepUnknown     = oas.EventKindStepUnknown
)

// AtRest reports whether the event put the order at rest, with any status.
func (e Event) AtRest() bool { return atRest(e.Status) }

// MissingEventError reports that a requested event is missing or cannot be read. The server keeps events for a limited
// time (90 days by default). To get the remaining events of an old order, ask for all, with version 0.
type MissingEventError struct {
	OrderID string
	Version int64
}

func (e *MissingEventError) Error() string {
	return fmt.Sprintf("event %d of order %s is not readable", e.Version, e.OrderID)
}

// Events follows an order live: every event after a version, each exactly once and in sequence. Version 0 asks for all
// events that the server still has. The iterator ends when the order is finished: the order is at rest and nothing is
// under way, such as its e-mail. Events never skips an event; if the next event is missing, the error is a
// [*MissingEventError].
//
// A broken connection is replaced, and the stream continues after the last event. It ends with an error if ctx ends, if
// the server refuses, or if the first connection fails as often as [WithRetry] allows. After that it keeps trying until
// ctx ends: a restart of the server does not interrupt the stream.
func (c *Client) Events(ctx context.Context, id string, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s, err := c.newOrderStream(id, after)
		for err == nil {
			var done bool
			if done, err = s.follow(ctx, func(d *sse.Decoder) (bool, bool, error) { return s.read(d, yield) }); done {
				return
			}
		}
		yield(Event{}, unwrapped(err))
	}
}

// Wait waits until an order is at rest, and returns it. Limit the wait with ctx.
func (c *Client) Wait(ctx context.Context, id string) (*Order, error) {
	order, err := c.Order(ctx, id)
	if err != nil || order.AtRest() {
		return order, err
	}
	for event, err := range c.Events(ctx, id, order.Version) {
		if err != nil {
			return nil, err
		}
		if event.AtRest() {
			return c.orderAt(ctx, id, event.Version)
		}
	}
	return c.Order(ctx, id)
}

// orderAt reads an order that has reached a version. Another instance may learn of that version a moment later.
func (c *Client) orderAt(ctx context.Context, id string, version int64) (*Order, error) {
	for attempt := 0; ; attempt++ {
		order, err := c.Order(ctx, id)
		if err != nil || order.Version >= version {
			return order, err
		}
		if !wait(ctx, c.transport.backoff(attempt)) {
			return nil, fmt.Errorf("order %s is still at version %d: %w", id, order.Version, ended(ctx))
		}
	}
}

func newEvent(e *oas.OrderEvent) Event {
	return Event{
		OrderID: e.OrderID.String(), Version: e.Version, Type: e.Type, Kind: e.Kind, Status: e.Status,
		Progress: int(e.Progress), Message: e.Message, Step: e.Step.Value, Reason: e.Reason.Value,
		Actor: e.Actor.Value, At: e.Timestamp,
	}
}
