package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// ringPause is the least time between two rings of one process: at most a hundred a second at any load.
const (
	ringPause   = 10 * time.Millisecond
	ringTimeout = 2 * time.Second
)

// Doorbell tells all processes, after a commit, that there are new events and new jobs. One ring stands for all
// commits since the last. A lost ring costs latency only: everybody also polls.
type Doorbell struct {
	db      dbsqlc.DBTX
	logger  *slog.Logger
	pending chan struct{} // holds a token while somebody has rung

	mu     sync.Mutex
	queues []string
}

// NewDoorbell makes a doorbell that sends over db while Run runs.
func NewDoorbell(db dbsqlc.DBTX, logger *slog.Logger) *Doorbell {
	return &Doorbell{db: db, logger: logger, pending: make(chan struct{}, 1)}
}

// Ring asks for a ring, for the feed and for the queues of the given jobs. It never waits.
func (d *Doorbell) Ring(jobs []orders.StepJob) {
	if d == nil {
		return
	}
	queues := make([]string, len(jobs))
	for i, job := range jobs {
		spec, _ := job.Step.Spec()
		queues[i] = string(spec.Provider)
	}
	d.RingQueues(queues)
}

// RingQueues is Ring for queues by name.
func (d *Doorbell) RingQueues(queues []string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	for _, queue := range queues {
		if !slices.Contains(d.queues, queue) {
			d.queues = append(d.queues, queue)
		}
	}
	d.mu.Unlock()
	select {
	case d.pending <- struct{}{}:
	default:
	}
}

// Run sends what was rung until ctx ends.
func (d *Doorbell) Run(ctx context.Context) {
	pause := time.NewTicker(ringPause)
	defer pause.Stop()
	for failing := false; ; {
		select {
		case <-d.pending:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		queues := d.queues
		d.queues = nil
		d.mu.Unlock()
		failpoint.Hit("doorbell.before_ring")
		err := d.send(ctx, queues)
		failpoint.Hit("doorbell.rung")
		if err != nil && !failing && ctx.Err() == nil {
			d.logger.WarnContext(ctx, "doorbell is failing", "error", err)
		}
		failing = err != nil
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *Doorbell) send(ctx context.Context, queues []string) error {
	ctx, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	return dbsqlc.New().Ring(ctx, d.db, queues)
}
