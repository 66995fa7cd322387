package main

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestTruth: an explanation is true if what it says happens in time, and by the job that it speaks of.
func TestTruth(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(-time.Hour)
	after := func(seconds int) *time.Time { return new(at.Add(time.Duration(seconds) * time.Second)) }
	settled := func(seconds int) fate {
		return fate{settled: map[string]time.Time{"void_payment:1": *after(seconds)}}
	}
	ran := func(kind string, seconds int) fate {
		return fate{jobs: []jobRuns{{Kind: kind, Generation: "1", Created: *after(-5), Attempted: after(seconds)}}}
	}
	running := func(since int) claim {
		return claim{
			Step: "void_payment", Generation: 1, Why: "running", Event: "outcome", Process: "a", Since: *after(since),
		}
	}
	said := func(second int, c claim) *explanation { return &explanation{At: *after(second), Waits: []claim{c}} }
	silence := func(silent bool) *outage { return &outage{*after(10), *after(25), silent} }
	for name, tt := range map[string]struct {
		event  string
		by     *time.Time
		fate   fate
		later  *explanation
		outage *outage
		late   time.Duration
	}{
		"Settled":                 {"outcome", after(30), settled(20), nil, nil, -10 * time.Second},
		"SettledLate":             {"outcome", after(30), settled(40), nil, nil, 10 * time.Second},
		"LateAfterOutage":         {"outcome", after(30), settled(40), nil, silence(false), -5 * time.Second},
		"LateAfterSilence":        {"outcome", after(30), settled(90), nil, silence(true), 23 * time.Second},
		"Tried":                   {"attempt", after(30), ran("void_payment", 20), nil, nil, -10 * time.Second},
		"CarriedOut":              {"attempt", after(30), ran("carry_order", 20), nil, nil, -10 * time.Second},
		"AnotherStepTried":        {"attempt", after(30), ran("book_shipment", 20), nil, nil, never},
		"TriedBefore":             {"attempt", after(30), ran("void_payment", -1), nil, nil, never},
		"TriedIsNotGivenUp":       {"given_up", after(30), ran("void_payment", 20), nil, nil, never},
		"GivenUp":                 {"given_up", after(30), settled(20), nil, nil, -10 * time.Second},
		"Never":                   {"new_job", after(30), fate{}, nil, nil, never},
		"AnotherRun":              {"outcome", after(30), fate{}, said(31, running(25)), nil, 0},
		"TheSameRun":              {"outcome", after(30), fate{}, said(31, running(-5)), nil, never},
		"AnotherRunSeenTooLate":   {"outcome", after(30), fate{}, said(99, running(25)), nil, never},
		"NobodyActed":             {"attempt", nil, fate{}, nil, nil, 0},
		"NobodyActedAndItWasDone": {"attempt", nil, settled(0), nil, nil, never},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := running(-5)
			c.Event, c.By = tt.event, tt.by
			s := &sample{explanation{uuid.New(), "processing", 2, at, []claim{c}}, at, []*explanation{tt.later}, make([]bool, 1)}
			x := &explainer{}
			if tt.outage != nil {
				x.outages = []outage{*tt.outage}
			}
			require.Equal(t, tt.late, x.lateBy(s, 0, tt.fate))
		})
	}
}

// A claim is overtaken if its provider fails or a person pauses after it, and not if explain changes its mind.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	of := func(step, why string) claim { return claim{Step: step, Generation: 1, Why: why} }
	queued := of("void_payment", "queued")
	for later, want := range map[claim]bool{
		of("void_payment", "breaker_open"): true, of("void_payment", "lane_paused"): true,
		of("void_payment", "no_worker"): true, of("void_payment", "queue_paused"): true,
		of("void_payment", "queued"): false, of("void_payment", "backoff"): false, of("void_payment", "job_lost"): false,
		of("book_shipment", "breaker_open"): false,
	} {
		require.Equal(t, want, queued.overtakenBy(explanation{Waits: []claim{later}}), later)
	}
	require.False(t, queued.overtakenBy(explanation{}))
	open := of("void_payment", "breaker_open")
	require.False(t, open.overtakenBy(explanation{Waits: []claim{open}}))
}

// One order that is explained wrongly fails no row, however short. Many do, if they are more than one in a hundred.
func TestExplainedFails(t *testing.T) {
	t.Parallel()
	require.False(t, explained{}.fails())
	require.False(t, explained{Samples: 20, True: 10, Wronged: 3}.fails())
	require.True(t, explained{Samples: 20, True: 10, Wronged: 4}.fails())
	require.False(t, explained{Samples: 5000, True: 4950, Wronged: 50}.fails())
	require.True(t, explained{Samples: 5000, True: 4949, Wronged: 51}.fails())
}

// A time in which the machine or all processes did not answer is added to every time that was promised in it.
func TestPostponed(t *testing.T) {
	t.Parallel()
	at := time.Now()
	second := func(n int) time.Time { return at.Add(time.Duration(n) * time.Second) }
	x := &explainer{outages: []outage{
		{second(-5), second(2), false}, {second(8), second(14), false}, {second(40), second(50), true},
	}}
	require.Equal(t, second(10+2+6), x.postponed(at, second(10)))
	require.Equal(t, second(1+2), x.postponed(at, second(1)))
	require.Equal(t, second(50).Add(takeover), x.postponed(at, second(41)), "until another process has taken over")
	require.Equal(t, second(500+2+6+10), x.postponed(at, second(500)))
}
