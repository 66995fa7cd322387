package api

import (
	"context"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/stream"
)

// longestWait bounds how long a placement may wait for its order to come to rest. Most proxies cut an answer off after
// a minute.
const longestWait = 30 * time.Second

// preferredWait reads the wait preference (RFC 7240, 4.3). It ignores malformed and unknown preferences.
func preferredWait(header string) (patience time.Duration, ok bool) {
	for preference := range strings.SplitSeq(header, ",") {
		preference, _, _ = strings.Cut(preference, ";") // the preference has no parameters
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return 0, false
		}
		return time.Duration(min(seconds, uint64(longestWait/time.Second), math.MaxInt64)) * time.Second, true
	}
	return 0, false
}

// waiter waits for orders to come to rest.
type waiter struct {
	orders    *store.Orders
	load      *load
	streams   *stream.Streams
	heartbeat time.Duration
	draining  <-chan struct{}
}

// await waits until a new order is at rest, the caller's patience ends, or the server drains, and returns the order as
// it is then. It waits for the feed like an event stream, and counts as an event stream. ok is false if there are too
// many streams: a server need not meet a preference.
func (w waiter) await(ctx context.Context, placed orders.Order, patience time.Duration) (now orders.Order, ok bool) {
	leave, err := w.load.stay(ctx, exchangeOf(ctx).principal.share())
	if err != nil {
		return placed, false
	}
	defer leave()
	// Before the first read, so that nothing falls in between.
	listener := w.streams.Listen(stream.Topic{Order: placed.ID, AtRest: true})
	defer listener.Close()
	rested, forget := w.orders.AwaitRest(placed.ID)
	defer forget()
	x := exchangeOf(ctx)
	if err := x.allow(patience); err != nil {
		return placed, false
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	fallback := time.NewTicker(w.heartbeat)
	defer fallback.Stop()
	now = placed
	for last := false; ; {
		current, err := w.orders.Get(ctx, placed.ID)
		if err != nil {
			if ctx.Err() == nil {
				x.cause = err
			}
			return now, true // the order is placed nevertheless
		}
		if now = current; last || now.Status.AtRest() || x.stillAllowed != nil && x.stillAllowed(ctx) != nil {
			return now, true
		}
		select {
		case <-rested:
			rested = nil // closed: it says no more
		case <-listener.Wake():
		case <-fallback.C:
		case <-timeout.C:
			last = true
		case <-w.draining:
			last = true
		case <-ctx.Done():
			return now, true
		}
	}
}
