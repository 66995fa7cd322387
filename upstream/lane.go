package upstream

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

const (
	laneCalls = 512             // the calls that a lane remembers
	laneSpan  = 5 * time.Minute // for how long
)

// Lane is what this process has seen of a provider within the last minutes.
type Lane struct {
	Breaker     string // as in States
	InFlight    int    // calls under way
	Calls       int    // calls that were made, up to 512
	P95         time.Duration
	LastError   string // of a call that got no usable answer; empty if there was none. It has no URL and no secret
	LastErrorAt time.Time
}

// Lanes returns what this process has seen of each provider that it calls.
func (c *Clients) Lanes() map[orders.Provider]Lane {
	lanes := map[orders.Provider]Lane{}
	for p, state := range c.States() {
		seen := c.mailerLane()
		if client, ok := c.clients[p]; ok {
			seen = client.lane
		}
		view := seen.view(time.Now())
		view.Breaker = state
		lanes[p] = view
	}
	return lanes
}

func (c *Clients) mailerLane() *lane {
	if c.mailer == nil {
		return nil
	}
	return c.mailer.lane
}

// lane remembers the latest calls to a provider. A histogram since the start of the process would hide what happens
// now.
type lane struct {
	mu       sync.Mutex
	inFlight int
	calls    []timing // a ring once it is full
	next     int
	err      string
	errAt    time.Time
}

type timing struct {
	at   time.Time
	took time.Duration
}

// observe makes a call and records it. Questions about stock and lists of effects are not recorded: they take long, and
// no order waits for them.
func (l *lane) observe(call func() (Answer, error)) (Answer, error) {
	l.count(1)
	defer l.count(-1) // also if the call panics
	start := time.Now()
	answer, err := call()
	l.record(time.Now(), err, time.Since(start))
	return answer, err
}

func (l *lane) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight += n
}

// record remembers a call. A refusal is an answer; a call that the breaker stopped was not made.
func (l *lane) record(now time.Time, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := errors.AsType[*OpenError](err); open {
		return
	}
	if outcome(err) == "cancelled" {
		return // by the caller: says nothing about the provider
	}
	if len(l.calls) < laneCalls {
		l.calls = append(l.calls, timing{now, took})
	} else {
		l.calls[l.next] = timing{now, took}
		l.next = (l.next + 1) % laneCalls
	}
	if o := outcome(err); o != "ok" && o != "refused" {
		l.err, l.errAt = err.Error(), now
	}
}

func (l *lane) view(now time.Time) Lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	view := Lane{InFlight: l.inFlight}
	var took []time.Duration
	for _, t := range l.calls {
		if now.Sub(t.at) < laneSpan {
			took = append(took, t.took)
		}
	}
	if view.Calls = len(took); view.Calls > 0 {
		slices.Sort(took)
		view.P95 = took[(len(took)*95-1)/100]
	}
	if l.err != "" && now.Sub(l.errAt) < laneSpan {
		view.LastError, view.LastErrorAt = l.err, l.errAt
	}
	return view
}
