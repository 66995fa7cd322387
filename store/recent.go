package store

import (
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/millrace-orders/millrace/orders"
)

const (
	// recentOrders is how many orders are remembered: more than are under way in a busy process. A usual one takes 4 KB,
	// one of a hundred items up to 30.
	recentOrders = 2048
	// recentAge is for how long workers go by what is remembered. Only a change by another process of which the feed
	// has not told yet is missed in that time.
	recentAge = 2 * time.Second
)

// Recent remembers orders as this process wrote them last, because it is mostly this process that works on them next.
// It is not a cache to read orders from: what it remembers may be old. So Apply asks it only for the version that Apply
// has locked. Workers ask it only for a first try's request, which is at worst sent once too often, under the same key.
type Recent struct {
	now func() time.Time

	mu      sync.Mutex
	orders  *simplelru.LRU[orders.ID, recentOrder]
	waiting map[orders.ID][]chan struct{} // closed when the order is at rest
}

type recentOrder struct {
	orders.Order
	at time.Time
}

// NewRecent makes a Recent. All stores of a process should share one, and its Follow should subscribe to the feed.
func NewRecent() *Recent {
	lru, err := simplelru.NewLRU[orders.ID, recentOrder](recentOrders, nil)
	if err != nil {
		panic(err) // the size is positive: cannot happen
	}
	return &Recent{now: time.Now, orders: lru, waiting: map[orders.ID][]chan struct{}{}}
}

// await returns a channel that is closed when this process has committed that an order is at rest.
func (r *Recent) await(id orders.ID) (atRest <-chan struct{}, stop func()) {
	rested := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[id] = append(r.waiting[id], rested)
	return rested, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		left := slices.DeleteFunc(r.waiting[id], func(c chan struct{}) bool { return c == rested })
		if r.waiting[id] = left; len(left) == 0 {
			delete(r.waiting, id)
		}
	}
}

// rest wakes what waits for an order. The mutex must be locked.
func (r *Recent) rest(id orders.ID) {
	for _, rested := range r.waiting[id] {
		close(rested)
	}
	delete(r.waiting, id)
}

// remember takes in orders after a commit, each version after those before it. One with nothing left to do makes room.
func (r *Recent) remember(written []orders.Order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.now()
	for _, o := range written {
		if o.Status.AtRest() {
			r.rest(o.ID)
		}
		if known, ok := r.orders.Peek(o.ID); ok && known.Version >= o.Version {
			continue // another transaction of this process was faster to say so
		}
		if o.Idle() {
			r.orders.Remove(o.ID)
			continue
		}
		r.orders.Add(o.ID, recentOrder{o, at})
	}
}

// order is an order at a version. The moment of its latest event belongs to that: a database that has lost commits in
// a failover counts versions a second time.
func (r *Recent) order(id orders.ID, version int64, updatedAt time.Time) (orders.Order, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := r.orders.Get(id)
	return o.Order, ok && o.Version == version && o.UpdatedAt.Equal(updatedAt)
}

// first returns the first steps of an order that this process has placed a moment ago, if none has an outcome yet.
func (r *Recent) first(id orders.ID) (pending []Pending, ok bool) {
	r.mu.Lock()
	o, ok := r.orders.Get(id)
	r.mu.Unlock()
	if !ok || r.now().Sub(o.at) > recentAge {
		return nil, false
	}
	for i := range o.Steps {
		step := &o.Steps[i]
		if spec, _ := step.Name.Spec(); !spec.Begins() {
			continue // another job carries it out
		}
		intent, ok := IntentOf(&o.Order, step)
		if !ok {
			return nil, false
		}
		pending = append(pending, Pending{orders.JobOf(id, step), intent})
	}
	return pending, true
}

// Follow forgets orders that have changed since: another process has done so. It subscribes to the feed.
func (r *Recent) Follow(entries []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		if known, ok := r.orders.Peek(e.OrderID); ok && known.Version < e.Version {
			r.orders.Remove(e.OrderID)
		}
	}
}
