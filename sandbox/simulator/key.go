package simulator

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// arrival is what is known of a key, whether or not it has an outcome. It is not durable.
type arrival struct {
	operation, orderID, sha256 string
	at                         time.Time
	sends                      int
	changed                    bool // it was also sent with different bytes
	sticky                     bool // its answer is a stored failure
}

// arrive counts a send. It returns false if the key was sent before with different bytes or for a different operation.
func (s *Simulator) arrive(c call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.arrivals[c.slot()]
	if a == nil {
		a = s.firstArrival(c)
		s.arrivals[c.slot()] = a
	}
	a.sends++
	if a.sha256 == c.sha256 { // no two operations of a provider have the same fields, so it is the same operation
		return true
	}
	if !a.changed {
		err := s.enter(&record{Kind: bytesChanged, Entry: Entry{
			Provider: c.provider, Operation: c.name, Key: c.key, OrderID: c.body.order(),
			RequestSHA256: c.sha256, At: s.now().UTC(),
		}})
		a.changed = err == nil
	}
	return false
}

// sticks reports whether the answer to a key with an outcome is a stored failure. With stick it stores one.
func (s *Simulator) sticks(c call, stick bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.arrivals[c.slot()]
	a.sticky = a.sticky || stick
	return a.sticky
}

func (s *Simulator) firstArrival(c call) *arrival {
	if o := s.books.outcomes[c.slot()]; o != nil { // from an earlier run
		return &arrival{operation: o.Operation, orderID: o.OrderID, sha256: o.RequestSHA256, at: o.At}
	}
	return &arrival{operation: c.name, orderID: c.body.order(), sha256: c.sha256, at: s.now().UTC()}
}

// Key is a key that arrived, with any outcome or none.
type Key struct {
	Provider      orders.Provider `json:"provider"`
	Operation     string          `json:"operation"`
	Key           string          `json:"key"`
	OrderID       string          `json:"orderId"`
	State         string          `json:"state"`          // unsettled, effect, nothing (was undone), refusal
	Code          string          `json:"code,omitempty"` // of a refusal
	ID            string          `json:"id,omitempty"`
	Sends         int             `json:"sends"` // POSTs since the simulator was opened, repeats included
	FirstSeenAt   time.Time       `json:"firstSeenAt"`
	RequestSHA256 string          `json:"requestSha256"` // of the first send
}

// Keys lists the keys that arrived since the simulator was opened, or that have an outcome, by the time of their first
// send. A POST that was malformed, or that met a provider that was down, did not arrive.
func (s *Simulator) Keys() []Key {
	s.mu.Lock()
	keys := make([]Key, 0, max(len(s.arrivals), len(s.books.outcomes)))
	for at, a := range s.arrivals {
		keys = append(keys, Key{
			Provider: at.provider, Operation: a.operation, Key: at.key, OrderID: a.orderID, State: "unsettled",
			Sends: a.sends, FirstSeenAt: a.at, RequestSHA256: a.sha256,
		}.settled(s.books.outcomes[at]))
	}
	for at, r := range s.books.outcomes {
		if s.arrivals[at] == nil {
			keys = append(keys, Key{
				Provider: at.provider, Operation: r.Operation, Key: at.key, OrderID: r.OrderID,
				FirstSeenAt: r.At, RequestSHA256: r.RequestSHA256,
			}.settled(r))
		}
	}
	s.mu.Unlock()

	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(a.FirstSeenAt.Compare(b.FirstSeenAt), cmp.Compare(a.Key, b.Key))
	})
	return keys
}

func (k Key) settled(r *record) Key {
	if r != nil {
		k.State, k.Code, k.ID = string(r.Kind), r.Code, r.ID
	}
	return k
}

func (s *Simulator) getKeys(r *http.Request) answer {
	order := r.URL.Query().Get("orderId")
	keys := slices.DeleteFunc(s.Keys(), func(k Key) bool { return order != "" && k.OrderID != order })
	return s.durably(keys)
}
