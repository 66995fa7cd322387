// Package reconcile compares the providers' own records with the orders, both ways. It keeps differences as findings,
// and repairs what a rule allows. docs/reconciliation.md describes it.
//
// A Comparer compares one provider. A Reconciler runs comparisons of all providers from where the last run stopped,
// asks again about unanswered steps, and looks again at open findings. jobs runs it every few minutes. `millrace verify
// --deep` compares everything once and keeps nothing.
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
	// defaultGrace is the least age of an effect when it is compared. So a listing that is a little late, or a clock
	// that is a little wrong, causes no findings.
	defaultGrace = time.Minute
)

// Config has what a Reconciler needs.
type Config struct {
	Store     *store.Store
	Providers *upstream.Clients
	Now       func() time.Time
	// Grace is the least age of an effect when it is compared. Default 1 min.
	Grace time.Duration
	// Repair lets a run repair what a rule allows. Otherwise it only keeps findings.
	Repair     bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
}

// Reconciler compares all providers, one run at a time.
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

// Run compares with each provider as far as time allows; the next run continues there. It reports whether it is behind,
// so that another run would make progress at once. With catchUpOnly it leaves asking and repairing to other runs.
//
// An error is the database's. A provider that does not answer is recorded in the state that Run stores, and asked again
// in the next run.
func (r *Reconciler) Run(ctx context.Context, catchUpOnly bool) (behind bool, err error) {
	list, err := r.Store.Findings.Progress(ctx)
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
			if from.Cursor, err = r.Store.Log.Since(ctx, from.To); err != nil {
				return false, err
			}
		}
		goesOn, err := r.provider(ctx, from)
		behind = behind || goesOn
		failed = append(failed, err)
	}
	if !catchUpOnly {
		// Asking comes first, so that what an answer settles is resolved in the same run.
		b := &budget{repairs: repairsMost, failures: map[orders.Provider]int{}}
		failed = append(failed, r.askAgain(ctx, b))
		clear(b.failures) // otherwise unanswered orders would delay findings in every run
		failed = append(failed, r.recheck(ctx, b))
	}
	return behind, errors.Join(failed...)
}
