package store

import (
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// Sample is the state of the system in one span. What has a level is the highest in the span, and what is counted is
// the sum.
type Sample struct {
	At time.Time `json:"-"` // where the span begins

	Pending        int64 `json:"pending"`
	Processing     int64 `json:"processing"`
	NeedsAttention int64 `json:"needsAttention"`
	Processes      int   `json:"processes"` // live ones; the lowest of the span

	Heard
	Lanes map[orders.Provider]LaneSample `json:"lanes"`
}

// LaneSample is one provider's part of a sample.
type LaneSample struct {
	Backlog          int64   `json:"backlog"`
	InFlight         int     `json:"inFlight"`
	OldestAgeSeconds float64 `json:"oldestAgeSeconds"`
	P95Seconds       float64 `json:"p95Seconds"`
	Open             bool    `json:"open"` // the breaker, in any process
}

// Heard is what happened in a span.
type Heard struct {
	Placed    int64 `json:"placed"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Refunded  int64 `json:"refunded"`
	// DurationP95Seconds is from placing to the end, of the orders that ended.
	DurationP95Seconds float64 `json:"durationP95Seconds"`
}

func newSample(at time.Time, snapshot Snapshot, heard Heard) Sample {
	sample := Sample{
		At: at, Pending: snapshot.Orders[orders.Pending], Processing: snapshot.Orders[orders.Processing],
		NeedsAttention: snapshot.Orders[orders.NeedsAttention], Heard: heard, Lanes: map[orders.Provider]LaneSample{},
	}
	for _, p := range snapshot.Processes {
		if p.Live {
			sample.Processes++
		}
	}
	for _, lane := range snapshot.Lanes {
		one := LaneSample{
			Backlog: lane.Backlog, InFlight: lane.InFlight, P95Seconds: lane.P95.Seconds(), Open: lane.Open > 0,
		}
		if !lane.OldestAt.IsZero() {
			one.OldestAgeSeconds = max(snapshot.At.Sub(lane.OldestAt), 0).Seconds()
		}
		sample.Lanes[lane.Provider] = one
	}
	return sample
}

// add returns a sample of both spans.
func (s Sample) add(next Sample) Sample {
	s.Pending, s.Processing = max(s.Pending, next.Pending), max(s.Processing, next.Processing)
	s.NeedsAttention, s.Processes = max(s.NeedsAttention, next.NeedsAttention), min(s.Processes, next.Processes)
	s.Placed, s.Completed, s.Failed = s.Placed+next.Placed, s.Completed+next.Completed, s.Failed+next.Failed
	s.Cancelled, s.Refunded = s.Cancelled+next.Cancelled, s.Refunded+next.Refunded
	s.DurationP95Seconds = max(s.DurationP95Seconds, next.DurationP95Seconds)
	lanes := map[orders.Provider]LaneSample{}
	for _, provider := range orders.Providers() {
		a, b := s.Lanes[provider], next.Lanes[provider]
		lanes[provider] = LaneSample{
			Backlog: max(a.Backlog, b.Backlog), InFlight: max(a.InFlight, b.InFlight),
			OldestAgeSeconds: max(a.OldestAgeSeconds, b.OldestAgeSeconds), P95Seconds: max(a.P95Seconds, b.P95Seconds),
			Open: a.Open || b.Open,
		}
	}
	s.Lanes = lanes
	return s
}
