// Package jobs carries out what orders decides. One River job carries an order: it carries out the pending steps, and
// goes on with the steps that their outcomes start. A step that cannot go on gets a job of its own in its provider's
// queue. A periodic sweep makes sure that no step waits for a missing job.
//
// A worker sends the stored intent, and applies the outcome in a separate transaction: no transaction is open during a
// call. River is only the trigger; the order's tables are the truth. So a job that runs twice, late, or at the same
// time as a second run of it, is harmless.
//
// jobs imports store and upstream; api does not know it.
package jobs

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/archive"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// Settings of River that the rest depends on.
const (
	// jobTimeout leaves a step room for two calls of the provider's timeout, and is far below rescueAfter: River
	// rescues a job only when its process is surely gone or frozen.
	jobTimeout  = 30 * time.Second
	rescueAfter = 90 * time.Second
	// longestRun is how long the sweep trusts that a running job is alive.
	longestRun = carryTimeout + 15*time.Second
	// softStop leaves a call to a provider, of 12 s at most, time to end when the process stops.
	softStop      = 15 * time.Second
	pollInterval  = 500 * time.Millisecond
	fetchCooldown = 10 * time.Millisecond
)

// Config has what the workers need.
type Config struct {
	Pool *pgxpool.Pool
	// Listen is where River listens for notifications. Default Pool.
	Listen *pgxpool.Pool
	// PollOnly has River poll instead of listening.
	PollOnly  bool
	Store     *store.Store
	Providers *upstream.Clients
	// Workers is how many calls of one provider run at a time, per process. Four times as many orders are carried at a
	// time. Default 200.
	Workers int
	// SweepEvery is how often the sweep looks for stranded steps. Default 15 s.
	SweepEvery time.Duration
	// SyncInventoryEvery is how often the inventory provider is asked for its stock. 0: never.
	SyncInventoryEvery time.Duration
	// VerifyEvery is how often the invariants are verified. 0: never.
	VerifyEvery time.Duration
	// ReconcileEvery is how often the providers' records are compared with the orders. 0: never.
	ReconcileEvery time.Duration
	// ReconcileRepair lets reconciliation repair what a rule allows. Otherwise it only reports findings.
	ReconcileRepair bool
	// ReconcileGrace is the least age of what reconciliation compares. Default 1 min.
	ReconcileGrace time.Duration
	// KeepCompletedJobs is how long River keeps the jobs that have succeeded. Default 1 h.
	KeepCompletedJobs time.Duration
	// KeepFailedJobs is how long River keeps the jobs that were cancelled or discarded. Default 7 days.
	KeepFailedJobs time.Duration
	// KeepIndexes stops River from rebuilding its indexes, which only their owner may do.
	KeepIndexes bool
	// KeepEvents is the least time that the log is kept. Default 90 days.
	KeepEvents time.Duration
	// Doorbell wakes the workers of this process about jobs that the process has inserted. May be nil.
	Doorbell *store.Doorbell
	// Archive moves old orders into files. If nil, orders are kept.
	Archive *archive.Archiver
	// Recovery tracks the running jobs. If nil, only the sweep finds the steps of a process that died.
	Recovery *Recovery
	// Webhooks configures the sending of messages to webhooks. If nil, none are sent.
	Webhooks *Webhooks
	// Clock decides when jobs are due: the database's clock. Default: a clock that has never read the database's.
	Clock *store.Clock
	// Now is the clock that deadlines are measured by. Default: Clock's.
	Now        func() time.Time
	Logger     *slog.Logger
	Tracer     *trace.Tracer         // nil: no spans
	Registerer prometheus.Registerer // may be nil
}

// Webhooks configures the sending of messages to webhooks.
type Webhooks struct {
	Sender *webhook.Sender
	// Workers is how many webhooks are sent to at a time, per process. As many failing webhooks are sent to besides.
	// Default 20.
	Workers int
	// Parallel is how many messages are sent to one webhook at a time. Default 2.
	Parallel int
	// Keep is how long finished deliveries are kept. Default 30 days.
	Keep time.Duration
}

// shared is what all workers use.
type shared struct {
	Config

	metrics  *metrics
	tally    *tally
	efforts  *efforts
	paused   *pauses
	stopping <-chan struct{} // closed when the workers begin to stop
}

// rebuilt lists the indexes that River rebuilds each day. River takes an empty list as none, and nil as all its own.
func (c Config) rebuilt() []string {
	if c.KeepIndexes {
		return []string{}
	}
	return slices.DeleteFunc(river.ReindexerIndexNamesDefault(), func(name string) bool {
		return name == "river_job_args_index" || name == "river_job_metadata_index" // our migrations dropped them
	})
}

// withDefaults returns the configuration with defaults for the missing values.
func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, 200)
	c.SweepEvery = cmp.Or(c.SweepEvery, 15*time.Second)
	c.KeepEvents = cmp.Or(c.KeepEvents, 90*24*time.Hour)
	c.KeepCompletedJobs = cmp.Or(c.KeepCompletedJobs, time.Hour)
	c.KeepFailedJobs = cmp.Or(c.KeepFailedJobs, 7*24*time.Hour)
	if c.Listen == nil {
		c.Listen = c.Pool
	}
	if c.Clock == nil {
		c.Clock = store.NewClock(store.ClockConfig{Logger: c.Logger})
	}
	if c.Now == nil {
		c.Now = c.Clock.Now
	}
	return c
}

// NewClient makes the client that works all queues. The caller starts and stops it. Stopping waits for running steps
// for up to 20 s, then cancels them without using up an attempt.
func NewClient(c Config) (*Client, error) {
	c = c.withDefaults()
	paused, stopping := &pauses{queues: c.Store.Queues, logger: c.Logger}, make(chan struct{})
	s := &shared{
		Config: c, metrics: newMetrics(c.Registerer), tally: newTally(time.Now, c.Logger), paused: paused, stopping: stopping,
		efforts: newEfforts(),
	}
	carrier := newCarrier(s)
	if c.KeepIndexes {
		c.Logger.Info("river does not rebuild its indexes: the database's role does not own its tables")
	}
	config := &river.Config{
		Schema: store.Schema, Workers: river.NewWorkers(), Queues: map[string]river.QueueConfig{},
		// Processes of another version may have enqueued jobs that this one cannot do. They are left to them.
		FetchOnlyKnownKinds: true,
		JobTimeout:          jobTimeout, RescueStuckJobsAfter: rescueAfter, SoftStopTimeout: softStop,
		FetchPollInterval: pollInterval, FetchCooldown: fetchCooldown, PollOnly: c.PollOnly,
		CompletedJobRetentionPeriod: c.KeepCompletedJobs,
		CancelledJobRetentionPeriod: c.KeepFailedJobs, DiscardedJobRetentionPeriod: c.KeepFailedJobs,
		RetryPolicy:         retryPolicy{c.Clock.Now},
		Test:                river.TestConfig{Time: riverTime{c.Clock}},
		ReindexerIndexNames: c.rebuilt(),
		Middleware:          []rivertype.Middleware{river.WorkerMiddlewareFunc(s.metrics.observe)},
		Logger:              slog.New(riverHandler{c.Logger.Handler()}),
	}
	for _, j := range []job{
		s.carry(carrier), s.steps(carrier), s.sweep(), s.syncInventory(), s.logUpkeep(), s.redrive(), s.verification(),
		s.reconciliation(), s.webhooks(), s.operatorMail(), s.archiving(),
	} {
		j.addTo(config)
	}
	if c.Recovery != nil {
		config.ID = c.Recovery.id
		config.Middleware = append(config.Middleware, river.WorkerMiddlewareFunc(c.Recovery.track))
	}
	gated := gatedDriver{riverpgxv5.New(c.Pool), newGate(c.Providers, c.Store.Holds)}
	near := newNear(&carrier.busy)
	client, err := river.NewClient(listeningDriver{gated, riverpgxv5.New(c.Listen), near}, config)
	if err != nil {
		return nil, fmt.Errorf("make job client: %w", err)
	}
	if c.Doorbell != nil {
		c.Doorbell.Near(near.ring)
	}
	return &Client{Client: client, paused: paused, stopping: stopping}, nil
}
