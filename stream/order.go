package stream

import (
	"context"
	"strconv"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Order is the source of one order's events. Their ids are the order's versions.
type Order struct {
	ID   orders.ID
	Sent int64 // the version of the last event that was sent

	// Load returns the stored order: a copy in memory may be older than the events that the client has.
	Load func(context.Context, orders.ID) (orders.Order, error)
	// Events returns the order's events after a version, oldest first.
	Events func(ctx context.Context, id orders.ID, after int64, limit int) ([]orders.Event, error)
}

func (o *Order) topic() Topic { return Topic{Order: o.ID} }

func (o *Order) advance(store.Cursor) []byte { return nil }

func (o *Order) catchUp(ctx context.Context, to *stream) (more, done bool, err error) {
	order, events, err := o.read(ctx, to.turn)
	if err != nil {
		return false, false, err
	}
	items := make([]*item, len(events))
	for i, e := range events {
		items[i] = to.newItem(store.Entry{Event: e})
	}
	if err := o.send(to, items); err != nil || len(events) == batch {
		return err == nil, false, err
	}
	// If the order has moved on, the feed is about to announce it.
	return false, Finished(&order) && o.Sent <= order.Version, nil
}

// read reads the order before its events. All events up to the order's version are stored by then, so a missing event
// has been pruned, and the stream need not wait for it.
func (o *Order) read(ctx context.Context, turn Turn) (order orders.Order, events []orders.Event, err error) {
	release, err := turn(ctx)
	if err != nil {
		return order, nil, err
	}
	defer release()
	if order, err = o.Load(ctx, o.ID); err != nil {
		return order, nil, err
	}
	events, err = o.Events(ctx, o.ID, o.Sent, batch)
	return order, events, err
}

// pass sends events. For an order at rest it leaves the decision whether the order is finished to catchUp.
func (o *Order) pass(_ context.Context, to *stream, items []*item) (ok bool, err error) {
	atRest := items[len(items)-1].Status.AtRest()
	for len(items) > 0 && items[0].Version <= o.Sent {
		items = items[1:]
	}
	for n, i := range items {
		if i.Version != o.Sent+1+int64(n) {
			return false, nil
		}
	}
	return !atRest, o.send(to, items)
}

func (o *Order) send(to *stream, items []*item) error {
	err := to.sendAll(items, func(i *item) string { return strconv.FormatInt(i.Version, 10) })
	if err == nil && len(items) > 0 {
		o.Sent = items[len(items)-1].Version
	}
	return err
}

// Finished reports whether nothing more will happen to the order by itself.
func Finished(o *orders.Order) bool {
	for _, s := range o.Steps {
		if s.State == orders.StatePending {
			return false
		}
	}
	return o.Status.AtRest()
}
