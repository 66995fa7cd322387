package reconcile

import (
	"errors"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// patience is for how many failures in a row a provider is asked, once about orders and once about findings: both
	// together are fewer than open its breaker, which steps need.
	patience = 2
	// repairsMost is how many orders one run repairs: more at a time is an adapter gone wrong, for somebody to stop.
	repairsMost = 50
)

// errNotAsked says that a breaker was open. What was not asked about is the first to be asked about the next time.
var errNotAsked = errors.New("the provider was not asked")

// budget is what is left of a run's patience with the providers, and of its repairs.
type budget struct {
	failures map[orders.Provider]int // in a row
	repairs  int
}

// note counts the outcome of one question, and says whether it was asked at all: an open breaker lets none through, and
// so no other in this run.
func (b *budget) note(p orders.Provider, err error) (asked bool) {
	_, open := errors.AsType[*upstream.OpenError](err)
	switch {
	case open:
		b.failures[p] = patience
	case upstream.IsFailure(err):
		b.failures[p]++
	default:
		b.failures[p] = 0
	}
	return !open
}

func (b *budget) isSpent(p orders.Provider) bool { return b.failures[p] >= patience }
