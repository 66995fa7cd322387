package jobs

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/millrace-orders/millrace/orders"
)

// effortOrders is how many orders with retried steps are remembered. In an outage more may be under way: the line of an
// order's end then lacks its attempts.
const effortOrders = 4096

// efforts remembers how many attempts the steps of unfinished orders took, if more than one: for the line that is
// logged when an order ends. Only steps that this process settled are remembered.
type efforts struct {
	mu     sync.Mutex
	orders *simplelru.LRU[orders.ID, map[string]int]
}

func newEfforts() *efforts {
	lru, err := simplelru.NewLRU[orders.ID, map[string]int](effortOrders, nil)
	if err != nil {
		panic(err) // the size is positive: cannot happen
	}
	return &efforts{orders: lru}
}

// note remembers the attempts of a step that has its outcome.
func (e *efforts) note(r result) {
	if r.tries == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	attempts, ok := e.orders.Get(r.OrderID)
	if !ok {
		attempts = map[string]int{}
		e.orders.Add(r.OrderID, attempts)
	}
	attempts[r.Name()] = r.tries + 1
}

// take returns the attempts of an order's steps, and forgets them.
func (e *efforts) take(id orders.ID) map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	attempts, _ := e.orders.Peek(id)
	e.orders.Remove(id)
	return attempts
}
