package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// explainEvery and explainAtATime bound what sampling costs a row: some ten reads a second.
	explainEvery   = 500 * time.Millisecond
	explainAtATime = 3 // of each status
	// explainTimeout ends a call to a process that is frozen.
	explainTimeout = 2 * time.Second
	// followFor is for how long an order is asked about again once the time of a claim is up.
	followFor = 10 * time.Second
	// explainSlow is from when on some reads took so long that the machine has no time for the row. No promise of a time
	// can be kept then, so such a time does not count, like one in which no process answers.
	explainSlow = 2 * time.Second
)

// explainer asks for explanations of random orders that are under way while a row runs. truth.go compares them with
// what then happened.
type explainer struct {
	*deployment
	random *rand.Rand
	stop   context.CancelFunc
	done   chan struct{}
	began  time.Time

	// Read them after end.
	samples []*sample
	outages []outage
}

// sample is an explanation.
type sample struct {
	said  explanation
	asked time.Time
	// later has, for each claim, what was said of the order when the claim's time was up; nil: not asked.
	later []*explanation
	// overtaken has the claims of which a later answer gave a reason that came from outside in between.
	overtaken []bool
}

// outage is a time in which no process answered, or only slowly.
type outage struct {
	from, to time.Time
	silent   bool // no process answered
}

// explanation is the part of an answer that can be compared with what happens.
type explanation struct {
	OrderID uuid.UUID `json:"orderId"`
	Status  string    `json:"status"`
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	Waits   []claim   `json:"waits"`
}

// claim is what an explanation says of an open step.
type claim struct {
	Step       string     `json:"step"`
	Generation int        `json:"generation"`
	Why        string     `json:"why"`
	Event      string     `json:"event"`
	By         *time.Time `json:"by"`
	Attempts   int        `json:"attempts"`
	Process    string     `json:"process"`
	Since      time.Time  `json:"since"`
	Until      time.Time  `json:"until"`
}

// watch begins to sample, beside the row.
func (d *deployment) watch(ctx context.Context, seed uint64) *explainer {
	ctx, stop := context.WithCancel(ctx)
	x := &explainer{
		deployment: d, random: rand.New(rand.NewPCG(seed, 3)), stop: stop, done: make(chan struct{}), began: time.Now(),
	}
	go func() {
		defer close(x.done)
		for pause(ctx, explainEvery) {
			began := time.Now()
			err := x.tick(ctx)
			if (err != nil || time.Since(began) > explainSlow) && ctx.Err() == nil {
				x.outages = append(x.outages, outage{began, time.Now().Add(explainEvery), err != nil})
			}
		}
	}()
	return x
}

// end ends the sampling.
func (x *explainer) end() {
	x.stop()
	<-x.done
}

// tick samples some orders, old and new, and asks again for those whose moment has come.
func (x *explainer) tick(ctx context.Context) error {
	for _, s := range x.samples {
		if err := x.followUp(ctx, s); err != nil {
			return err
		}
	}
	moment := x.began.Add(time.Duration(x.random.Int64N(int64(time.Since(x.began)) + 1)))
	for _, status := range []string{"pending", "processing"} {
		query := url.Values{"status": {status}, "limit": {fmt.Sprint(explainAtATime)}}
		if x.random.IntN(2) == 0 { // the newest orders every other time
			query.Set("to", moment.UTC().Format(time.RFC3339Nano))
		}
		var page struct{ Orders []struct{ OrderID uuid.UUID } }
		if err := x.anyone(ctx, "/api/orders?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, o := range page.Orders {
			asked := time.Now()
			said, err := x.explain(ctx, o.OrderID)
			if err != nil {
				return err
			}
			if len(said.Waits) > 0 || said.Status == "pending" || said.Status == "processing" {
				x.samples = append(x.samples, &sample{
					said, asked, make([]*explanation, len(said.Waits)), make([]bool, len(said.Waits)),
				})
			}
		}
	}
	return nil
}

// followUp asks about an order again when the time of a claim is up, and goes on for a while if nothing has happened.
func (x *explainer) followUp(ctx context.Context, s *sample) error {
	var later *explanation
	for i, c := range s.said.Waits {
		if c.By == nil || time.Now().Before(*c.By) || s.overtaken[i] ||
			s.later[i] != nil && (c.happened(*s.later[i]) || time.Since(*c.By) > followFor) {
			continue
		}
		if later == nil {
			said, err := x.explain(ctx, s.said.OrderID)
			if err != nil {
				return err
			}
			later = &said
		}
		if s.later[i] == nil {
			s.later[i] = later
		}
		s.overtaken[i] = c.overtakenBy(*later)
	}
	return nil
}

func (x *explainer) explain(ctx context.Context, id uuid.UUID) (said explanation, err error) {
	return said, x.anyone(ctx, "/api/orders/"+id.String()+"/explain", &said)
}

// anyone asks the processes in a random order until one answers.
func (x *explainer) anyone(ctx context.Context, path string, into any) (err error) {
	x.mu.Lock()
	instances := slices.Clone(x.instances)
	x.mu.Unlock()
	x.random.Shuffle(len(instances), func(i, j int) { instances[i], instances[j] = instances[j], instances[i] })
	err = errNoProcess
	for _, i := range instances {
		asked, cancel := context.WithTimeout(ctx, explainTimeout)
		err = x.ask(asked, http.MethodGet, i.url(path), nil, into)
		cancel()
		if err == nil {
			break
		}
	}
	return err
}
