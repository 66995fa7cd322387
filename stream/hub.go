package stream

import (
	"cmp"
	"sync"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	// ringSize is how many events a stream may fall behind before it has to read the log: some seconds of a process
	// that is as busy as it can be.
	ringSize = 4096
	// takeSize bounds what a stream writes at a time, under one deadline.
	takeSize = 100
)

// Topic is what a listener wants to hear of: one order, one customer's orders or, if it is zero, all orders.
type Topic struct {
	Order    orders.ID
	Customer string
}

func (t Topic) includes(e store.Entry) bool {
	return (t.Order == orders.ID{} || t.Order == e.OrderID) && (t.Customer == "" || t.Customer == e.CustomerID)
}

// hub hands on what the feed reads to all listeners of this process. Events lie in one ring for all; a
// listener has no queue, only the number of the first event that it has not taken. So listeners cost no queries, a
// slow one costs no memory, and one that is idle cannot fall behind.
type hub struct {
	encode Encode

	mu        sync.Mutex
	listeners map[Topic]map[*Listener]struct{}
	ring      [ringSize]*item // number n is at n % ringSize, until it is overwritten
	next      uint64          // the number that the next event gets
	at        store.Cursor    // up to where the feed has come; zero before its first event
}

func newHub(encode Encode) *hub {
	return &hub{encode: encode, listeners: make(map[Topic]map[*Listener]struct{})}
}

// Listener waits for events.
type Listener struct {
	hub   *hub
	topic Topic
	wake  chan struct{} // holds a token when there is something to take
	first uint64        // the number of the first event that was not taken, if there is any
	any   bool
}

// listen makes a listener of what the feed reads from now on.
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

// Close ends the waiting.
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
	first := make(map[Topic]uint64) // of each topic that somebody listens to, in this batch
	for _, e := range entries {
		heard := false
		for _, t := range []Topic{{Order: e.OrderID}, {Customer: e.CustomerID}, {}} {
			if len(h.listeners[t]) == 0 {
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

// lose has everybody ask the log how to go on: the feed has gone back, so it is in another history now, restored or
// failed over to with a loss.
func (h *hub) lose() {
	for _, listeners := range h.listeners {
		for l := range listeners {
			l.notify(h.next)
		}
	}
	h.next += ringSize + 1
}

// Wake holds a token when the topic may have something new.
func (l *Listener) Wake() <-chan struct{} { return l.wake }

// notify tells the listener of event n. The hub must be locked.
func (l *Listener) notify(n uint64) {
	if !l.any {
		l.first, l.any = n, true
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take returns the next events, not all if there are many; there is another token then. ok is false if the listener was
// so slow that some are gone from the ring: they are in the log.
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

// reached is a place in the log up to which the listener has taken all that concerns it. ok is false if there is none.
func (l *Listener) reached() (at store.Cursor, ok bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, !l.any && h.at != store.Cursor{}
}

// isAfter says that a is further on in the same history.
func isAfter(a, b store.Cursor) bool {
	return a.Epoch == b.Epoch && cmp.Or(cmp.Compare(a.Txid, b.Txid), cmp.Compare(a.ID, b.ID)) > 0
}
