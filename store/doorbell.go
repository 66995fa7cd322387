package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// A process sends at most a hundred notifications in any second, at any load. Each bell sends at most its rate and its
// burst. A ring in a calm moment goes out at once.
const (
	feedRate, feedBurst   = 40, 8
	queueRate, queueBurst = 35, 10
	ringTimeout           = 2 * time.Second
)

// Doorbell tells all processes, after a commit, that there are new events and new jobs. One ring stands for all commits
// since the last. A lost ring costs latency only, because all readers and workers also poll.
type Doorbell struct {
	db      dbsqlc.DBTX
	logger  *slog.Logger
	queries *dbsqlc.Queries

	feed, jobs bell
	mu         sync.Mutex
	queues     []string // that have new jobs
	near       func(queues []string)
}

// bell holds a token after it was rung.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// NewDoorbell makes a doorbell that sends over db while Run runs.
func NewDoorbell(db dbsqlc.DBTX, logger *slog.Logger) *Doorbell {
	return &Doorbell{db: db, logger: logger, queries: dbsqlc.New(), feed: make(bell, 1), jobs: make(bell, 1)}
}

// Near has fn called at once with the queues of each ring: the workers of this process need not wait for the
// notification. fn must not block.
func (d *Doorbell) Near(fn func(queues []string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.near = fn
}

// Ring announces new events, and new jobs in some queues. It never waits.
func (d *Doorbell) Ring(queues ...string) {
	if d == nil {
		return
	}
	d.feed.ring()
	d.RingQueues(queues)
}

// RingQueues announces new jobs in some queues; an empty name is left out. It never waits.
func (d *Doorbell) RingQueues(queues []string) {
	if d == nil {
		return
	}
	rung := false
	d.mu.Lock()
	for _, queue := range queues {
		if queue != "" && !slices.Contains(d.queues, queue) {
			d.queues = append(d.queues, queue)
		}
		rung = rung || queue != ""
	}
	near := d.near
	d.mu.Unlock()
	if !rung {
		return
	}
	if near != nil {
		near(queues)
	}
	d.jobs.ring()
}

// Run sends the rings until ctx ends.
func (d *Doorbell) Run(ctx context.Context) {
	var bells sync.WaitGroup
	defer bells.Wait()
	bells.Go(func() {
		d.send(ctx, d.feed, rate.NewLimiter(feedRate, feedBurst), func(ctx context.Context) (int, error) {
			return 1, d.queries.RingFeed(ctx, d.db)
		})
	})
	bells.Go(func() {
		d.send(ctx, d.jobs, rate.NewLimiter(queueRate, queueBurst), func(ctx context.Context) (int, error) {
			d.mu.Lock()
			queues := d.queues[:min(len(d.queues), queueBurst)]
			d.queues = d.queues[len(queues):]
			if len(d.queues) > 0 {
				d.jobs.ring()
			}
			d.mu.Unlock()
			return len(queues), d.queries.RingQueues(ctx, d.db, queues)
		})
	})
}

// send sends the rings of one bell. After each it waits until the rate allows as many notifications as it has sent.
func (d *Doorbell) send(
	ctx context.Context, rung bell, limit *rate.Limiter, notify func(context.Context) (int, error),
) {
	for failing := false; ; {
		select {
		case <-rung:
		case <-ctx.Done():
			return
		}
		sending, cancel := context.WithTimeout(ctx, ringTimeout)
		n, err := notify(sending)
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			d.logger.WarnContext(ctx, "doorbell is failing", "error", err)
		}
		failing = err != nil
		if limit.WaitN(ctx, n) != nil {
			return
		}
	}
}
