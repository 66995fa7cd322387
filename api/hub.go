package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
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

// topic is what a listener wants to hear of: one order, one customer's orders or, if it is zero, all orders.
type topic struct {
	order    orders.ID
	customer string
}

func (t topic) includes(e store.Entry) bool {
	return (t.order == orders.ID{} || t.order == e.OrderID) && (t.customer == "" || t.customer == e.CustomerID)
}

// notice is an event on its way to all who listen. It is encoded once for all customers and once for everybody else, by
// the first of them.
type notice struct {
	store.Entry
	full, discreet func() ([]byte, error) // what all streams send of it alike: all but its id
}

func newNotice(e store.Entry) *notice {
	encode := func(reader Principal) func() ([]byte, error) {
		return sync.OnceValues(func() ([]byte, error) {
			event := newOrderEvent(e.Event, reader)
			data, err := json.Marshal(event)
			if err != nil {
				return nil, fmt.Errorf("encode event: %w", err)
			}
			return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event.Type, data), nil
		})
	}
	return &notice{e, encode(Principal{}), encode(Principal{auth.Principal{Role: roles.Customer}})}
}

// writeTo writes the notice as an event of a stream, with the stream's own id for it.
func (n *notice) writeTo(b *bytes.Buffer, id string, reader Principal) error {
	encoded := n.full
	if reader.Role == roles.Customer {
		encoded = n.discreet
	}
	text, err := encoded()
	fmt.Fprintf(b, "id: %s\n%s", id, text)
	return err
}

// hub hands on what the feed reads to everybody in this process who listens. Events lie in one ring for all; a
// listener has no queue, only the number of the first event that it has not taken. So listeners cost no queries, a
// slow one costs no memory, and one that is idle cannot fall behind.
type hub struct {
	mu        sync.Mutex
	listeners map[topic]map[*listener]struct{}
	ring      [ringSize]*notice // number n is at n % ringSize, until it is overwritten
	next      uint64            // the number that the next event gets
	at        store.Cursor      // up to where the feed has come; zero before its first event
}

func newHub() *hub { return &hub{listeners: make(map[topic]map[*listener]struct{})} }

// listener is one who waits for events.
type listener struct {
	hub   *hub
	topic topic
	wake  chan struct{} // holds a token when there is something to take
	first uint64        // the number of the first event that was not taken, if there is any
	any   bool
}

// listen begins with what the feed reads from now on. Whoever listens first and reads the log then misses nothing.
func (h *hub) listen(t topic) *listener {
	l := &listener{hub: h, topic: t, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[t] == nil {
		h.listeners[t] = make(map[*listener]struct{})
	}
	h.listeners[t][l] = struct{}{}
	return l
}

func (l *listener) close() {
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
	first := make(map[topic]uint64) // of each topic that somebody listens to, in this batch
	for _, e := range entries {
		heard := false
		for _, t := range []topic{{order: e.OrderID}, {customer: e.CustomerID}, {}} {
			if len(h.listeners[t]) == 0 {
				continue
			}
			heard = true
			if _, known := first[t]; !known {
				first[t] = h.next
			}
		}
		if heard {
			h.ring[h.next%ringSize] = newNotice(e)
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

// notify tells the listener of event n. The hub must be locked.
func (l *listener) notify(n uint64) {
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
func (l *listener) take() (taken []*notice, ok bool) {
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
		if notice := h.ring[n%ringSize]; l.topic.includes(notice.Entry) {
			taken = append(taken, notice)
		}
	}
	return taken, true
}

// reached is a place in the log up to which the listener has taken all that concerns it. ok is false if there is none.
func (l *listener) reached() (at store.Cursor, ok bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, !l.any && h.at != store.Cursor{}
}

// isAfter says that a is further on in the same history.
func isAfter(a, b store.Cursor) bool {
	return a.Epoch == b.Epoch && cmp.Or(cmp.Compare(a.Txid, b.Txid), cmp.Compare(a.ID, b.ID)) > 0
}
