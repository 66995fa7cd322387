package api

import (
	"sync"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// streams is the open event streams by order. It keeps no events: a stream that is woken reads them from the log, so
// a slow one costs no memory and a lost wake-up costs only time.
type streams struct {
	mu        sync.Mutex
	open      int
	listeners map[orders.ID]map[chan struct{}]struct{}
}

func newStreams() *streams {
	return &streams{listeners: make(map[orders.ID]map[chan struct{}]struct{})}
}

// acquire counts a stream in, unless there are too many.
func (s *streams) acquire(limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= limit {
		return false
	}
	s.open++
	return true
}

func (s *streams) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
}

// listen returns a channel that gets a token after each change of the order, until stop is called.
func (s *streams) listen(id orders.ID) (wake <-chan struct{}, stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	if s.listeners[id] == nil {
		s.listeners[id] = make(map[chan struct{}]struct{})
	}
	s.listeners[id][c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners[id], c)
		if len(s.listeners[id]) == 0 {
			delete(s.listeners, id)
		}
	}
}

// follow subscribes to the feed. It never blocks: one token stands for any number of changes.
func (s *streams) follow(entries []store.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		for c := range s.listeners[e.OrderID] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}
