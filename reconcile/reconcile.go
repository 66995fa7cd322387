// Package reconcile compares the providers' own records with the orders, both ways, keeps what differs as findings, and
// repairs what a rule allows. docs/reconciliation.md is about it.
//
// A comparison of one provider is a Comparer's. A Reconciler runs comparisons of all providers from where the last run
// stopped, asks again about what has no answer, and looks again at open findings. jobs runs it every few minutes;
// `millrace verify --deep` compares everything once and keeps nothing.
//
// The package imports store and upstream, and knows nothing of River.
package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	// Timeout is more than the shares of a run together.
	Timeout = 75 * time.Second
	// back is how far back the first comparison with a provider goes.
	back = 2 * time.Hour
	// defaultGrace is how old an effect is at least when it is compared, so that a listing that is a little late, or a
	// clock that is a little off, makes no work.
	defaultGrace = time.Minute
)

// Config says what a Reconciler works with.
type Config struct {
	Store     *store.Store
	Providers *upstream.Clients
	Now       func() time.Time
	// Grace is how old an effect is at least when it is compared. Default 1 min.
	Grace time.Duration
	// Repair has a run repair what a rule allows. Otherwise it only keeps findings.
	Repair     bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Reconciler compares all providers, a run at a time.
type Reconciler struct {
	Config

	comparer *Comparer
	repaired *prometheus.CounterVec
}

// New makes a Reconciler. A process has one: it registers a metric, and remembers what was listed.
func New(c Config) *Reconciler {
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	r := &Reconciler{
		Config: c, comparer: NewComparer(c.Store, c.Providers),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_reconcile_repairs_total",
			Help: "Orders that reconciliation repaired, by the rule that allows it.",
		}, []string{"provider", "rule"}),
	}
	for _, p := range orders.Providers() {
		for _, rule := range rules() {
			r.repaired.WithLabelValues(string(p), string(rule))
		}
	}
	if c.Registerer != nil {
		c.Registerer.MustRegister(r.repaired)
	}
	return r
}

// Run compares with each provider as far as it gets, and goes on there the next time. It reports whether it is behind:
// whether another run would get further at once. A run that only catches up leaves asking and repairing to the others.
//
// An error is the database's. A provider that does not answer is in the state that Run stores, and is asked again the
// next time.
func (r *Reconciler) Run(ctx context.Context, catchUpOnly bool) (behind bool, err error) {
	list, err := r.Store.Reconciliations(ctx)
	if err != nil {
		return false, err
	}
	progress := map[orders.Provider]store.Reconciliation{}
	for _, p := range list {
		progress[p.Provider] = p
	}
	var failed []error
	for _, p := range orders.Providers() {
		from, begun := progress[p]
		if !begun {
			from = store.Reconciliation{Provider: p, To: r.Now().Add(-back)}
			if from.Cursor, err = r.Store.LogSince(ctx, from.To); err != nil {
				return false, err
			}
		}
		goesOn, err := r.provider(ctx, from)
		behind = behind || goesOn
		failed = append(failed, err)
	}
	if !catchUpOnly {
		// In this sequence, so that what an answer settles is resolved in the same run.
		b := &budget{repairs: repairsMost, failures: map[orders.Provider]int{}}
		failed = append(failed, r.askAgain(ctx, b))
		clear(b.failures) // otherwise orders about which a provider is silent would hold up findings, run after run
		failed = append(failed, r.recheck(ctx, b))
	}
	return behind, errors.Join(failed...)
}
