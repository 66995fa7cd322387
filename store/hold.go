package store

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
)

// HoldsConfig says what a Holds works with.
type HoldsConfig struct {
	Now        func() time.Time      // the database's clock, by which levers end
	Logger     *slog.Logger          // may be nil
	Registerer prometheus.Registerer // may be nil
}

// Holds is what this process knows of the levers, so that no fetch of jobs and no placement has to ask the database. It
// is as current as the latest Follow. While the database does not answer, a lever holds until its end, and no longer.
//
// It is safe for concurrent use. A nil Holds knows of no lever.
type Holds struct {
	config HoldsConfig
	held   atomic.Pointer[Held]

	mu sync.Mutex // held while reading: an older reading must not replace a newer one
}

// NewHolds makes a Holds that knows of no lever yet. All stores of a process should share one.
func NewHolds(c HoldsConfig) *Holds {
	h := &Holds{config: c}
	h.held.Store(new(Held))
	if c.Logger == nil {
		h.config.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registerer == nil {
		return h
	}
	gauge := func(name, help string, labels prometheus.Labels, holds func() bool) {
		c.Registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: labels,
		}, func() float64 {
			if holds() {
				return 1
			}
			return 0
		}))
	}
	for _, lane := range orders.Providers() {
		gauge("millrace_lane_paused", "1 while an operator pauses the lane.", prometheus.Labels{"lane": string(lane)},
			func() bool { return h.Paused(lane) })
	}
	gauge("millrace_intake_stopped", "1 while an operator stops the intake.", nil, func() bool {
		_, stopped := h.Intake()
		return stopped
	})
	return h
}

// Paused reports whether an operator pauses a provider's lane. No job of such a lane may be fetched, and no step of it
// sent or settled. The deadlines of its steps go on: after the pause, a step past its deadline is asked about and given
// up.
func (h *Holds) Paused(lane orders.Provider) bool {
	_, paused := h.Lane(lane)
	return paused
}

// Lane returns why and until when a provider's lane is paused; ok is false if it is not.
func (h *Holds) Lane(lane orders.Provider) (hold Hold, ok bool) {
	if h == nil {
		return Hold{}, false
	}
	hold, ok = h.held.Load().Lanes[lane]
	return hold, ok && h.holds(hold)
}

// Intake returns why and until when the intake is stopped; ok is false if it is not.
func (h *Holds) Intake() (hold Hold, ok bool) {
	if h == nil || h.held.Load().Intake == nil {
		return Hold{}, false
	}
	hold = *h.held.Load().Intake
	return hold, h.holds(hold)
}

// Remaining returns for how much longer a lever holds.
func (h *Holds) Remaining(hold Hold) time.Duration { return hold.Until.Sub(h.config.Now()) }

func (h *Holds) holds(hold Hold) bool { return h.Remaining(hold) > 0 }

// Follow reads the levers, and logs what has changed. Each process calls it every second, and after a change of its
// own.
func (h *Holds) Follow(ctx context.Context, levers *Levers) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, err := levers.Read(ctx)
	if err != nil {
		return err
	}
	h.report(ctx, *h.held.Swap(&now), now)
	return nil
}

// report logs the levers that were pulled, changed or let go since the reading before.
func (h *Holds) report(ctx context.Context, before, now Held) {
	named := func(held Held) map[string]Hold {
		all := map[string]Hold{}
		for lane, hold := range held.Lanes {
			all["lane "+string(lane)] = hold
		}
		if held.Intake != nil {
			all[leverIntake] = *held.Intake
		}
		return all
	}
	was, is := named(before), named(now)
	for _, lever := range slices.Sorted(maps.Keys(is)) {
		if hold := is[lever]; was[lever] != hold {
			h.config.Logger.WarnContext(ctx, "lever pulled by an operator", "lever", lever, "reason", hold.Reason,
				"until", hold.Until)
		}
	}
	for _, lever := range slices.Sorted(maps.Keys(was)) {
		if _, still := is[lever]; !still {
			h.config.Logger.InfoContext(ctx, "lever let go", "lever", lever, "expired", !h.holds(was[lever]))
		}
	}
}
