package main

import (
	"context"
	"reflect"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	// presenceEvery is how often a process looks at itself, and reportEvery how often it reports what has not changed
	// much. A breaker that opens, and trouble, are reported at once.
	presenceEvery = 500 * time.Millisecond
	reportEvery   = 2 * time.Second
	leaveWithin   = 2 * time.Second
)

// role is what the process does.
func (n *node) role() string {
	switch {
	case n.config.work == nil:
		return "api"
	case n.config.api == nil:
		return "work"
	}
	return "serve"
}

// present reports about this process until the process stops. It must be called before the workers start, so that the
// process is seen until its last job ends. id is its name among the River clients.
func (n *node) present(s *store.Store, id string) {
	p := store.Process{ID: id, Version: version, Role: n.role(), StartedAt: n.clock.Now()}
	n.background(func(ctx context.Context) {
		tick := time.NewTicker(presenceEvery)
		defer tick.Stop()
		var last told
		for {
			p.ProcessReport = n.report()
			if now := time.Now(); last.outdated(p.ProcessReport, now) {
				if s.Processes.Report(ctx, p) == nil { // an outage is reported by other parts
					last = told{breakersOf(p.ProcessReport), alerts(p.Troubles), now}
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
				defer cancel()
				_ = s.Processes.Leave(ctx, id) // if it fails, the process counts as silent
				return
			}
		}
	})
}

// report is what this process knows about itself.
func (n *node) report() (report store.ProcessReport) {
	report.Troubles = n.troubles.latest()
	if n.running != nil {
		report.Running = n.running()
	}
	if n.lanes == nil {
		return report
	}
	report.Lanes = map[orders.Provider]store.LaneView{}
	for provider, lane := range n.lanes() {
		report.Lanes[provider] = store.LaneView{
			Breaker: lane.Breaker, InFlight: lane.InFlight, Calls: lane.Calls, P95: lane.P95, LastError: lane.LastError,
			LastErrorAt: lane.LastErrorAt,
		}
	}
	return report
}

// told is what a process has reported last.
type told struct {
	breakers map[orders.Provider]string
	troubles string
	at       time.Time
}

// outdated reports whether the next report must not wait.
func (t told) outdated(report store.ProcessReport, now time.Time) bool {
	return !reflect.DeepEqual(breakersOf(report), t.breakers) || alerts(report.Troubles) != t.troubles ||
		now.Sub(t.at) >= reportEvery
}

func breakersOf(report store.ProcessReport) map[orders.Provider]string {
	states := map[orders.Provider]string{}
	for provider, lane := range report.Lanes {
		states[provider] = lane.Breaker
	}
	return states
}
