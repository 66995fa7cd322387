package jobs

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	heartbeatEvery = 3 * time.Second
	// trustAfter is for how long a process must have sent heartbeats before it calls others dead: longer than they may
	// be silent, so that all had the time to come back from an outage of the database.
	trustAfter   = 12 * time.Second
	leaveTimeout = 2 * time.Second
	// longestHost leaves room for the rest of an id, of which River takes 100 bytes.
	longestHost = 60
)

// Recovery says that this process is alive, and gives the steps of processes that have died to the others, within
// about 15 s. It does not wait for River's leader, who may be the one that died.
type Recovery struct {
	store     *store.Store
	logger    *slog.Logger
	recovered prometheus.Counter

	every, trust time.Duration // heartbeatEvery and trustAfter
	give         func(ctx context.Context) error
	shut         func() []string // the queues that are not worked here now

	id     string // of the River client, too
	mu     sync.Mutex
	active map[int64]string // jobs that run here
	worked map[string]bool  // queues of which a job was begun here since they were last told

	failing, silent streak // of recovery, and of heartbeats
}

// NewRecovery makes a Recovery. Give it to NewClient, then Run it from before the client starts until after it stops.
// s should have connections of its own: in a process that is too busy to say so, everything would run twice. providers
// are those that the client calls.
func NewRecovery(
	s *store.Store, providers *upstream.Clients, logger *slog.Logger, registerer prometheus.Registerer,
) *Recovery {
	r := &Recovery{
		store: s, logger: logger, active: map[int64]string{}, worked: map[string]bool{},
		every: heartbeatEvery, trust: trustAfter,
		shut: newGate(providers).shut, id: newInstanceID(time.Now()),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_steps_recovered_total",
			Help: "Steps of processes that died, or lost them, that were given a new job.",
		}),
	}
	r.give = r.recover
	if registerer != nil {
		registerer.MustRegister(r.recovered)
	}
	return r
}

// newInstanceID names a process as River would, and as its operator can find it: by its host and when it began.
func newInstanceID(now time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host = strings.ReplaceAll(host[:min(len(host), longestHost)], ".", "_")
	// Only after a dot are zeros digits of the second: without them two processes of one second would be one.
	return host + "_" + strings.ReplaceAll(now.UTC().Format("2006_01_02T15_04_05.000000"), ".", "_")
}

// track keeps the account of what runs here.
func (r *Recovery) track(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) error {
	r.mu.Lock()
	r.active[job.ID], r.worked[job.Queue] = job.Queue, true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.active, job.ID)
		r.mu.Unlock()
	}()
	return work(ctx)
}

// Running counts what runs here, by queue.
func (r *Recovery) Running() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := map[string]int{}
	for _, queue := range r.active {
		running[queue]++
	}
	return running
}

// tell tells which queues were worked here since this was told last.
func (r *Recovery) tell(ctx context.Context) error {
	r.mu.Lock()
	worked := slices.Collect(maps.Keys(r.worked))
	r.worked = map[string]bool{}
	for _, queue := range r.active {
		r.worked[queue] = true
	}
	r.mu.Unlock()
	return r.store.Attend(ctx, worked...)
}

func (r *Recovery) self() store.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return store.Instance{ID: r.id, Active: slices.Collect(maps.Keys(r.active))}
}

// Run works until ctx ends. Heartbeats have a goroutine of their own: however long it takes to give jobs away, this
// process is alive.
func (r *Recovery) Run(ctx context.Context) {
	turns := make(chan struct{}, 1)
	var ended sync.WaitGroup
	ended.Go(func() {
		for range turns {
			r.failing.warn(ctx, r.logger, "recovery", r.give(ctx))
		}
	})
	r.beat(ctx, turns)
	close(turns)
	ended.Wait()
	r.leave(context.WithoutCancel(ctx))
}

// beat sends heartbeats, and gives recovery a turn after each one that others can be judged by.
func (r *Recovery) beat(ctx context.Context, turns chan<- struct{}) {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	var trusted, last time.Time // when this row of heartbeats began, and its latest
	for {
		now := time.Now()
		err := r.store.Beat(ctx, r.id, r.shut()...)
		failpoint.Hit("recovery.beat")
		if err == nil {
			err = r.tell(ctx)
		}
		if err != nil || now.Sub(last) > r.trust { // an outage, or this process was frozen
			trusted = now
		}
		if err == nil {
			last = now
			if now.Sub(trusted) >= r.trust {
				select {
				case turns <- struct{}{}:
				default: // it has not ended its last turn
				}
			}
		}
		r.silent.warn(ctx, r.logger, "heartbeat", err)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// streak logs the first of failures in a row.
type streak struct{ failing bool }

func (s *streak) warn(ctx context.Context, logger *slog.Logger, what string, err error) {
	if err != nil && !s.failing && ctx.Err() == nil {
		logger.WarnContext(ctx, "recovery is failing", "part", what, "error", err)
	}
	s.failing = err != nil
}

func (r *Recovery) recover(ctx context.Context) error {
	n, err := r.store.Recover(ctx, r.self())
	if n > 0 {
		r.recovered.Add(float64(n))
		r.logger.WarnContext(ctx, "steps of a process that died have new jobs", "steps", n)
	}
	return err
}

// leave spares the others from finding out. If it fails, they do.
func (r *Recovery) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := r.store.Leave(ctx, r.id); err != nil {
		r.logger.WarnContext(ctx, "could not leave", "error", err)
	}
}
