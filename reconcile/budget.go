package reconcile

import (
	"errors"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// patience is how many failures in a row a provider is allowed, once for orders and once for findings. Together
	// they are too few to open its breaker, which steps need.
	patience = 2
	// repairsMost is how many orders one run repairs. More suggest a faulty adapter, which an operator must stop.
	repairsMost = 50
)

// errNotAsked means that a breaker was open. The next run asks first about what was not asked.
var errNotAsked = errors.New("the provider was not asked")

// budget is a run's remaining patience with the providers, and its remaining repairs.
type budget struct {
	failures map[orders.Provider]int // in a row
	repairs  int
}

// note counts the outcome of one question, and reports whether the question was asked at all. An open breaker lets no
// question through, so none is asked for the rest of the run.
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
