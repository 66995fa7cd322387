package api

import (
	"context"
	"strconv"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// orderSource is one order's events. Their ids are the order's versions.
type orderSource struct {
	store  *store.Store
	reader Principal
	order  orders.ID
	sent   int64 // the version of the last event that was sent
}

func (o *orderSource) topic() topic { return topic{order: o.order} }

func (o *orderSource) advance(store.Cursor) []byte { return nil }

func (o *orderSource) catchUp(ctx context.Context, w liveWriter, turn turn) (more, done bool, err error) {
	order, events, err := o.read(ctx, turn)
	if err != nil {
		return false, false, err
	}
	notices := make([]*notice, len(events))
	for i, e := range events {
		notices[i] = newNotice(store.Entry{Event: e})
	}
	if err := o.send(w, notices); err != nil || len(events) == streamBatch {
		return err == nil, false, err
	}
	// If it has moved on, the feed is about to say so.
	return false, finished(&order) && o.sent <= order.Version, nil
}

// read reads the order before its events: what there is then up to its version will always be there, so what is missing
// has been pruned, and nobody needs to wait for it.
func (o *orderSource) read(ctx context.Context, turn turn) (order orders.Order, events []orders.Event, err error) {
	release, err := turn(ctx)
	if err != nil {
		return order, nil, err
	}
	defer release()
	if order, err = o.store.Order(ctx, o.order); err != nil {
		return order, nil, err
	}
	events, err = o.store.Events(ctx, o.order, o.sent, streamBatch)
	return order, events, err
}

// pass leaves it to the log whether an order at rest is finished.
func (o *orderSource) pass(_ context.Context, w liveWriter, notices []*notice) (ok, done bool, err error) {
	atRest := notices[len(notices)-1].Status.AtRest()
	for len(notices) > 0 && notices[0].Version <= o.sent {
		notices = notices[1:]
	}
	for i, n := range notices {
		if n.Version != o.sent+1+int64(i) {
			return false, false, nil
		}
	}
	return !atRest, false, o.send(w, notices)
}

func (o *orderSource) send(w liveWriter, notices []*notice) error {
	err := sendAll(w, notices, o.reader, func(n *notice) string { return strconv.FormatInt(n.Version, 10) })
	if err == nil && len(notices) > 0 {
		o.sent = notices[len(notices)-1].Version
	}
	return err
}

// finished says that nothing more will happen to the order by itself.
func finished(o *orders.Order) bool {
	for _, s := range o.Steps {
		if s.State == orders.StatePending {
			return false
		}
	}
	return o.Status.AtRest()
}
