package simulator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// Faults are the faults of the providers. A provider that is missing here works.
type Faults map[orders.Provider]Fault

// Fault describes the faults of one provider. Rates are shares of calls, 0 to 1. They apply to every call of the
// provider, including GETs and repeated keys; only a POST is refused or loses its answer.
type Fault struct {
	LatencyMs  int     `json:"latencyMs"`  // before anything happens
	JitterMs   int     `json:"jitterMs"`   // up to so much more
	ErrorRate  float64 `json:"errorRate"`  // 503, nothing happened
	RefuseRate float64 `json:"refuseRate"` // 422 for good, of what would have taken effect
	ExpireRate float64 `json:"expireRate"` // 422 of a capture: its authorisation has expired, and holds nothing any more
	HangRate   float64 `json:"hangRate"`   // nothing happens, and no answer until the client leaves, or 60 s
	LostRate   float64 `json:"lostRate"`   // it is done and durable, then the connection is dropped
	StickyRate float64 `json:"stickyRate"` // it is done and durable, and every send of its key is answered 500
	GarbleRate float64 `json:"garbleRate"` // 200 without the contract's body; half the time it is done
	Down       bool    `json:"down"`       // the connection is dropped at once

	// Operations, if any, limits the fault to these operations.
	Operations []string `json:"operations,omitempty"`
}

const (
	hangLimit = time.Minute
	// listName is what Fault.Operations calls a provider's list of its effects.
	listName = "list"
)

func (f Faults) validate() error {
	var bad []error
	for provider, fault := range f {
		if !slices.Contains(orders.Providers(), provider) {
			bad = append(bad, fmt.Errorf("%s is not a provider", provider))
		}
		for _, err := range fault.problems(provider) {
			bad = append(bad, fmt.Errorf("%s.%w", provider, err))
		}
	}
	return errors.Join(bad...)
}

func (f Fault) problems(p orders.Provider) (bad []error) {
	delay := func(field string, ms int) {
		if ms < 0 || ms > 600_000 {
			bad = append(bad, fmt.Errorf("%s must be 0 to 600000", field))
		}
	}
	rate := func(field string, r float64) {
		if !(r >= 0 && r <= 1) { // in this form it rejects NaN, too
			bad = append(bad, fmt.Errorf("%s must be 0 to 1", field))
		}
	}
	delay("latencyMs", f.LatencyMs)
	delay("jitterMs", f.JitterMs)
	rate("errorRate", f.ErrorRate)
	rate("refuseRate", f.RefuseRate)
	rate("expireRate", f.ExpireRate)
	rate("hangRate", f.HangRate)
	rate("lostRate", f.LostRate)
	rate("stickyRate", f.StickyRate)
	rate("garbleRate", f.GarbleRate)
	for i, name := range f.Operations {
		if name == listName {
			continue
		}
		if !slices.ContainsFunc(operations(), func(o operation) bool { return o.provider == p && o.name == name }) {
			bad = append(bad, fmt.Errorf("operations[%d] %q is not an operation of %s", i, name, p))
		}
	}
	return bad
}

// dice decide which calls have a fault.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
	faults Faults
}

func newDice(seed uint64) *dice {
	return &dice{random: rand.New(rand.NewPCG(seed, 0))}
}

func (d *dice) set(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = maps.Clone(f)
}

// luck is the result of the dice for one call.
type luck struct {
	down, fail, refuse, hang, lose, stick, expire bool
	garble, vain                                  bool // vain: a garbled call has no effect
	delay                                         time.Duration
}

// roll draws for one call. It draws equally often with any faults, so that a change of one rate does not change which
// calls the other rates hit. The operation is empty for a GET of anything but the list.
func (d *dice) roll(p orders.Provider, operation string) luck {
	d.mu.Lock()
	defer d.mu.Unlock()
	jitter, fail, refuse := d.random.Float64(), d.random.Float64(), d.random.Float64()
	hang, lose, stick, expire := d.random.Float64(), d.random.Float64(), d.random.Float64(), d.random.Float64()
	garble, vain := d.random.Float64(), d.random.Float64()

	f := d.faults[p]
	if len(f.Operations) > 0 && !slices.Contains(f.Operations, operation) {
		return luck{}
	}
	return luck{
		down: f.Down, fail: fail < f.ErrorRate, refuse: refuse < f.RefuseRate,
		hang: hang < f.HangRate, lose: lose < f.LostRate, stick: stick < f.StickyRate, expire: expire < f.ExpireRate,
		garble: garble < f.GarbleRate, vain: vain < 0.5,
		delay: time.Duration((float64(f.LatencyMs) + jitter*float64(f.JitterMs)) * float64(time.Millisecond)),
	}
}

// strike applies the faults that come before any effect. If struck, the call ends with the answer.
func (s *Simulator) strike(ctx context.Context, l luck) (a answer, struck bool) {
	switch {
	case l.down:
		return dropped, true
	case !s.pause(ctx, l.delay):
		return dropped, true
	case l.hang:
		s.pause(ctx, hangLimit)
		return dropped, true
	case l.fail:
		return problem(http.StatusServiceUnavailable, "unavailable", "errorRate struck; nothing happened"), true
	}
	return answer{}, false
}

// pause waits. It returns false if the client left, or the simulator was closed, before the end.
func (s *Simulator) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closed.Done():
	}
	return false
}

// getFaults returns all faults of all providers.
func (s *Simulator) getFaults(*http.Request) answer {
	s.dice.mu.Lock()
	defer s.dice.mu.Unlock()
	all := Faults{}
	for _, p := range orders.Providers() {
		all[p] = s.dice.faults[p]
	}
	return ok(all)
}

// putFaults replaces all faults of all providers.
func (s *Simulator) putFaults(r *http.Request) answer {
	var f Faults
	if err := decodeRequest(r, &f); err != nil {
		return badRequest(err)
	}
	if err := s.SetFaults(f); err != nil {
		return badRequest(err)
	}
	return s.getFaults(r)
}
