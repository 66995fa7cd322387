package jobs

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	heartbeatEvery = 3 * time.Second
	// shutEvery is how often a process looks at its breakers. One that has opened or closed does not wait for the next
	// heartbeat: explanations of orders go by it.
	shutEvery = 250 * time.Millisecond
	// trustAfter is how long a process must have sent heartbeats before it declares other processes dead. It is longer
	// than the silence that is allowed, so that all processes have time to return from an outage of the database.
	trustAfter   = 12 * time.Second
	leaveTimeout = 2 * time.Second
	// longestHost leaves room for the rest of an id: River allows 100 bytes.
	longestHost = 60
)

// Recovery sends this process's heartbeats, and gives the steps of dead processes to live ones within about 15 s. It
// does not depend on River's leader, which may be the dead process.
type Recovery struct {
	instances *store.Instances
	steps     *store.Steps
	logger    *slog.Logger
	recovered prometheus.Counter

	every, look, trust time.Duration // heartbeatEvery, shutEvery and trustAfter
	give               func(ctx context.Context) error
	shut               func() []string // the queues that this process does not work now

	beaten atomic.Int64 // when the latest heartbeat was sent, or the process started, in Unix nanoseconds

	id     string // also the River client's
	mu     sync.Mutex
	active map[int64]string // the jobs that run in this process
	worked map[string]bool  // queues that began a job here since the last report

	failing, silent streak // of recovery, and of heartbeats
}

// NewRecovery makes a Recovery. The caller passes it to NewClient, and runs it from before the client starts until
// after the client stops. s should have connections of its own: if a busy process could not send heartbeats, all its
// steps would run twice. providers are those that the client calls.
func NewRecovery(
	s *store.Store, providers *upstream.Clients, logger *slog.Logger, registerer prometheus.Registerer,
) *Recovery {
	r := &Recovery{
		instances: s.Instances, steps: s.Steps, logger: logger, active: map[int64]string{}, worked: map[string]bool{},
		every: heartbeatEvery, look: shutEvery, trust: trustAfter,
		shut: newGate(providers, s.Holds).shut, id: newInstanceID(time.Now()),
		recovered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_steps_recovered_total",
			Help: "Steps that lost their process and got a new job.",
		}),
	}
	r.give = r.recover
	r.beaten.Store(time.Now().UnixNano())
	if registerer != nil {
		registerer.MustRegister(r.recovered)
	}
	return r
}

// newInstanceID names a process in River's form, so that an operator can find it: by its host and its start.
func newInstanceID(now time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	host = strings.ReplaceAll(host[:min(len(host), longestHost)], ".", "_")
	// Go formats fractions of a second only after a dot. Without them, two processes that start in one second would
	// share an id.
	return host + "_" + strings.ReplaceAll(now.UTC().Format("2006_01_02T15_04_05.000000"), ".", "_")
}

// track records the jobs that run in this process.
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

// Running counts the jobs that run in this process, by queue.
func (r *Recovery) Running() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := map[string]int{}
	for _, queue := range r.active {
		running[queue]++
	}
	return running
}

// Silence returns the time since the latest heartbeat.
func (r *Recovery) Silence() time.Duration { return time.Since(time.Unix(0, r.beaten.Load())) }

// tell reports the queues that this process has worked since the last report.
func (r *Recovery) tell(ctx context.Context) error {
	r.mu.Lock()
	worked := slices.Collect(maps.Keys(r.worked))
	r.worked = map[string]bool{}
	for _, queue := range r.active {
		r.worked[queue] = true
	}
	r.mu.Unlock()
	return r.instances.Attend(ctx, worked...)
}

func (r *Recovery) self() store.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return store.Instance{ID: r.id, Active: slices.Collect(maps.Keys(r.active))}
}

// Run works until ctx ends. Heartbeats have a goroutine of their own, so that a slow recovery does not make this
// process look dead.
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

// beat sends heartbeats. After each heartbeat that lets this process judge others, recovery gets a turn.
func (r *Recovery) beat(ctx context.Context, turns chan<- struct{}) {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	var trusted, last time.Time // the first and the latest of the heartbeats without a gap
	for {
		now, shut := time.Now(), r.shut()
		err := r.instances.Beat(ctx, r.id, shut...)
		failpoint.Hit("recovery.beat")
		if err == nil {
			err = r.tell(ctx)
		}
		if err != nil || now.Sub(last) > r.trust { // an outage, or this process was frozen
			trusted = now
		}
		if err == nil {
			last = now
			r.beaten.Store(now.UnixNano())
			if now.Sub(trusted) >= r.trust {
				select {
				case turns <- struct{}{}:
				default: // recovery is still in its last turn
				}
			}
		}
		r.silent.warn(ctx, r.logger, "heartbeat", err)
		if !r.wait(ctx, ticker.C, shut) {
			return
		}
	}
}

// wait returns true when a heartbeat is due, or other queues are shut than the latest one told. It returns false when
// ctx ends.
func (r *Recovery) wait(ctx context.Context, due <-chan time.Time, told []string) bool {
	looks := time.NewTicker(r.look)
	defer looks.Stop()
	for {
		select {
		case <-due:
			return true
		case <-looks.C:
			if !slices.Equal(r.shut(), told) {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}

// streak logs the first of several failures in a row.
type streak struct{ failing bool }

func (s *streak) warn(ctx context.Context, logger *slog.Logger, what string, err error) {
	if err != nil && !s.failing && ctx.Err() == nil {
		logger.WarnContext(ctx, "recovery failed", "part", what, "error", err)
	}
	s.failing = err != nil
}

func (r *Recovery) recover(ctx context.Context) error {
	n, err := r.steps.Recover(ctx, r.self())
	if n > 0 {
		r.recovered.Add(float64(n))
		r.logger.WarnContext(ctx, "steps of a dead process rescheduled", "steps", n)
	}
	return err
}

// leave removes this process's row, so that other processes need not detect its end. If that fails, they detect it.
func (r *Recovery) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := r.instances.Leave(ctx, r.id); err != nil {
		r.logger.WarnContext(ctx, "instance not removed at shutdown", "error", err)
	}
}
