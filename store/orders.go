package store

import (
	"cmp"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
)

// Orders places orders, applies events to them, and reads them.
type Orders struct {
	*database

	recent *Recent
	writes *Writes
	lastID atomic.Uint64 // the time in the latest order's id
	sealed atomic.Int64  // orders before this moment are sealed, as far as this process knows; in milliseconds

	placing  *group[orders.Placement, Placed]
	applying [groupLanes]*group[change, Applied] // by order
	reading  *group[orders.StepJob, Intent]
	resuming *group[carriage, []Pending]
}

func newOrders(d *database, c Config) *Orders {
	panics := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "millrace_commit_panics_total", Help: "Callers whose write or read panicked.",
	})
	callers := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "millrace_commit_callers", Help: "Callers that shared a transaction.",
		Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128},
	}, []string{"operation"})
	if c.Registerer != nil {
		c.Registerer.MustRegister(callers, panics)
	}
	s := &Orders{database: d, recent: cmp.Or(c.Recent, NewRecent()), writes: c.Writes}
	s.placing = &group[orders.Placement, Placed]{
		name: "SaveOrder", flush: s.place, lanes: groupLanes, alone: c.Alone,
		callers: callers.WithLabelValues("place"), panics: panics, weight: placementWeight,
	}
	for i := range s.applying {
		s.applying[i] = &group[change, Applied]{
			name: "UpdateOrder", flush: s.apply, lanes: 1, alone: c.Alone,
			callers: callers.WithLabelValues("apply"), panics: panics,
		}
	}
	s.reading = &group[orders.StepJob, Intent]{
		name: "ReadSteps", flush: s.intents, lanes: groupLanes, alone: c.Alone,
		callers: callers.WithLabelValues("read_step"), panics: panics,
	}
	s.resuming = &group[carriage, []Pending]{
		name: "ReadOrders", flush: s.pending, lanes: groupLanes, alone: c.Alone,
		callers: callers.WithLabelValues("read_order"), panics: panics,
	}
	return s
}
