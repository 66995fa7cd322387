// Package trace says what code works for: the ids that log lines have of a request, a job or a delivery. It imports
// orders, and every package that works for a request, a job or a delivery may import it.
package trace

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// Scope is one request, job or delivery. A nil Scope takes what it is told, and knows nothing. It is safe for
// concurrent use: work that a request has begun may go on after it, or beside it.
type Scope struct {
	requestID   string
	traceparent string // of the request's span or its caller's, or of the order's placement
	order       atomic.Pointer[orders.ID]
	cache       atomic.Pointer[string]
	commit      atomic.Int64
	waited      atomic.Int64 // nanoseconds
}

type scopeKey struct{}

// NewScope makes the scope of a request, or of work for the request that placed an order.
func NewScope(o orders.Origin) *Scope {
	return &Scope{requestID: o.RequestID, traceparent: o.Traceparent}
}

// Into returns a context of the scope.
func (s *Scope) Into(ctx context.Context) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf returns the scope of a context; nil if it has none.
func ScopeOf(ctx context.Context) *Scope {
	s, _ := ctx.Value(scopeKey{}).(*Scope)
	return s
}

// OrderOf returns a context for work on an order.
func OrderOf(ctx context.Context, id orders.ID, o orders.Origin) context.Context {
	s := NewScope(o)
	s.About(id)
	return s.Into(ctx)
}

// Origin returns the request, as it is stored with an order that it places.
func (s *Scope) Origin() orders.Origin {
	if s == nil {
		return orders.Origin{}
	}
	return orders.Origin{RequestID: s.requestID, Traceparent: s.traceparent}
}

// Order returns the order that the scope is about; nil if it is about none.
func (s *Scope) Order() *orders.ID {
	if s == nil {
		return nil
	}
	return s.order.Load()
}

// About says which order the scope is about.
func (s *Scope) About(id orders.ID) {
	if s != nil {
		s.order.Store(&id)
	}
}

// Cache notes how the cache answered: hit, miss or bypass. The last answer counts.
func (s *Scope) Cache(result string) {
	if s != nil {
		s.cache.Store(&result)
	}
}

// Committed notes how many callers shared the commit.
func (s *Scope) Committed(callers int) {
	if s != nil {
		s.commit.Store(int64(callers))
	}
}

// Waited adds a wait for the database.
func (s *Scope) Waited(d time.Duration) {
	if s != nil {
		s.waited.Add(int64(d))
	}
}
