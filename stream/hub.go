package stream

import (
	"cmp"
	"sync"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	// ringSize is how many events a stream may fall behind before it has to read the log. At full load that is some
	// seconds.
	ringSize = 4096
	// takeSize bounds how many events a stream writes at a time, under one deadline.
	takeSize = 100
)

// Topic selects a listener's events: one order, one customer's orders or, if it is zero, all orders.
type Topic struct {
	Order    orders.ID
	AtRest   bool // only the events after which the order is at rest
	Customer string
}

func (t Topic) includes(e store.Entry) bool {
	return (t.Order == orders.ID{} || t.Order == e.OrderID) && (t.Customer == "" || t.Customer == e.CustomerID) &&
		(!t.AtRest || e.Status.AtRest())
}

// hub distributes the events of the feed to all listeners of this process. All events are in one ring. A listener has
// no queue, only the number of the first event that it has not taken. So listeners cost no queries, a slow listener
// costs no memory, and an idle listener cannot fall behind.
type hub struct {
	encode Encode

	mu        sync.Mutex
	listeners map[Topic]map[*Listener]struct{}
	ring      [ringSize]*item // event n is at n % ringSize, until it is overwritten
	next      uint64          // the number of the next event
	at        store.Cursor    // the position that the feed has reached; zero before its first event
}

func newHub(encode Encode) *hub {
	return &hub{encode: encode, listeners: make(map[Topic]map[*Listener]struct{})}
}

// Listener waits for events.
type Listener struct {
	hub   *hub
	topic Topic
	wake  chan struct{} // holds a token if there is something to take
	first uint64        // the number of the first event that was not taken; valid if any is true
	any   bool
}

// listen makes a listener for the events that the feed reads from now on.
func (h *hub) listen(t Topic) *Listener {
	l := &Listener{hub: h, topic: t, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[t] == nil {
		h.listeners[t] = make(map[*Listener]struct{})
	}
	h.listeners[t][l] = struct{}{}
	return l
}

// Close ends the listening.
func (l *Listener) Close() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners[l.topic], l)
	if len(h.listeners[l.topic]) == 0 {
		delete(h.listeners, l.topic)
	}
}

// follow subscribes to the feed. It never blocks: one token stands for any number of events.
func (h *hub) follow(entries []store.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at != (store.Cursor{}) && !isAfter(entries[0].Cursor, h.at) {
		h.lose()
	}
	first := make(map[Topic]uint64) // the first event in this batch of each topic with listeners
	for _, e := range entries {
		heard := false
		for _, t := range []Topic{{Order: e.OrderID}, {Order: e.OrderID, AtRest: true}, {Customer: e.CustomerID}, {}} {
			if len(h.listeners[t]) == 0 || !t.includes(e) {
				continue
			}
			heard = true
			if _, known := first[t]; !known {
				first[t] = h.next
			}
		}
		if heard {
			h.ring[h.next%ringSize] = newItem(e, h.encode)
			h.next++
		}
		h.at = e.Cursor
	}
	for t, n := range first {
		for l := range h.listeners[t] {
			l.notify(n)
		}
	}
}

// lose sends all listeners to the log: the feed's cursor went back, so the log was restored or failed over with a loss,
// and has a different history.
func (h *hub) lose() {
	for _, listeners := range h.listeners {
		for l := range listeners {
			l.notify(h.next)
		}
	}
	h.next += ringSize + 1
}

// Wake returns a channel that holds a token when the topic may have new events.
func (l *Listener) Wake() <-chan struct{} { return l.wake }

// notify announces event n to the listener. The hub must be locked.
func (l *Listener) notify(n uint64) {
	if !l.any {
		l.first, l.any = n, true
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns the next events. If there are too many for one call, there is a token for the rest. ok is false if the
// listener was too slow and the ring has lost some of its events: they are in the log.
func (l *Listener) take() (taken []*item, ok bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !l.any {
		return nil, true
	}
	l.any = false
	if h.next-l.first > ringSize {
		return nil, false
	}
	for n := l.first; n < h.next; n++ {
		if len(taken) == takeSize {
			l.notify(n)
			break
		}
		if item := h.ring[n%ringSize]; l.topic.includes(item.Entry) {
			taken = append(taken, item)
		}
	}
	return taken, true
}

// reached returns a position in the log up to which the listener has taken all its events. ok is false if there is
// none.
func (l *Listener) reached() (at store.Cursor, ok bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, !l.any && h.at != store.Cursor{}
}

// isAfter reports whether a is later than b in the same history.
func isAfter(a, b store.Cursor) bool {
	return a.Epoch == b.Epoch && cmp.Or(cmp.Compare(a.Txid, b.Txid), cmp.Compare(a.ID, b.ID)) > 0
}
