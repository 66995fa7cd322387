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

// catchUp reads the order before its events: what there is then up to its version will always be there, so if there is
// nothing, that has been pruned, and nobody needs to wait for it.
func (o *orderSource) catchUp(ctx context.Context, w liveWriter) (more, done bool, err error) {
	order, err := o.store.Order(ctx, o.order)
	if err != nil {
		return false, false, err
	}
	for {
		events, err := o.store.Events(ctx, o.order, o.sent, streamBatch)
		if err != nil {
			return false, false, err
		}
		if len(events) == 0 {
			// If it has moved on, the feed is about to say so.
			return false, finished(&order) && o.sent <= order.Version, nil
		}
		notices := make([]*notice, len(events))
		for i, e := range events {
			notices[i] = newNotice(store.Entry{Event: e})
		}
		if err := o.send(w, notices); err != nil {
			return false, false, err
		}
	}
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
