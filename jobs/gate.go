package jobs

import (
	"context"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// probeEvery is how often a job is fetched to probe a provider. Mostly one probe is enough.
const probeEvery = time.Second

// gate keeps this process from fetching jobs that it could not carry out. While a provider's breaker is open, only one
// job of its queue is fetched at a time, as a probe. Fetching and snoozing all jobs would cost Postgres as much as work
// does, and more the longer the queue is. The jobs stay in the queue, for other processes, and for this process when
// the breaker closes.
//
// The lane of a provider that an operator has paused is not fetched from at all. It is not shut: the sweep would settle
// its steps, as if the provider had been asked for long enough.
type gate struct {
	state func(orders.Provider) string
	holds *store.Holds

	mu     sync.Mutex
	probed map[string]time.Time // by queue
}

func newGate(providers *upstream.Clients, holds *store.Holds) *gate {
	g := &gate{
		probed: map[string]time.Time{}, holds: holds, state: func(orders.Provider) string { return upstream.Closed },
	}
	if providers != nil {
		g.state = providers.State
	}
	return g
}

// admit returns how many jobs of a queue may be fetched; workers is how many could run.
func (g *gate) admit(queue string, workers int) int {
	if g.holds.Paused(orders.Provider(queue)) {
		return 0
	}
	switch g.state(orders.Provider(queue)) {
	case upstream.Open:
		return 0
	case upstream.HalfOpen:
		g.mu.Lock()
		defer g.mu.Unlock()
		if now := time.Now(); now.Sub(g.probed[queue]) >= probeEvery {
			g.probed[queue] = now
			return min(workers, 1)
		}
		return 0
	default:
		return workers
	}
}

// shut lists the queues that this process does not work now.
func (g *gate) shut() (queues []string) {
	for _, p := range orders.Providers() {
		if g.state(p) != upstream.Closed && !g.holds.Paused(p) {
			queues = append(queues, string(p))
		}
	}
	return queues
}

// gatedDriver limits what River fetches to what the gate admits.
type gatedDriver struct {
	*riverpgxv5.Driver

	gate *gate
}

// GetExecutor implements riverdriver.Driver.
func (d gatedDriver) GetExecutor() riverdriver.Executor {
	return gatedExecutor{d.Driver.GetExecutor(), d.gate}
}

type gatedExecutor struct {
	riverdriver.Executor

	gate *gate
}

// JobGetAvailable implements riverdriver.Executor.
func (e gatedExecutor) JobGetAvailable(
	ctx context.Context, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	admitted := *params
	admitted.MaxToLock = e.gate.admit(params.Queue, params.MaxToLock)
	if admitted.MaxToLock == 0 {
		return &riverdriver.JobGetAvailableResult{}, nil
	}
	return e.Executor.JobGetAvailable(ctx, &admitted)
}
