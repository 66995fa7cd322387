package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/upstream"
)

// Limits of the HTTP servers. Requests are small and answers quick; event streams extend their own deadlines.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 12 << 10 // net/http adds 4 KiB
	// drainTimeout and the jobs' soft stop (15 s) fit into stopTimeout, which fits into the 30 s that orchestrators
	// commonly grant. stopTimeout is for parts that hang: a process that is killed after 30 s logs less.
	drainTimeout = 4 * time.Second
	// arrivalPatience, for connections without a request, is a part of drainTimeout.
	arrivalPatience = time.Second
	stopTimeout     = 25 * time.Second
	// feedConnections: the reader, the doorbell, the heartbeat, recovery, the rate limiter. The listener has its own.
	feedConnections = 5
	opsConnections  = 2
)

var errNotMigrated = errors.New("the database schema is not up to date: run millrace migrate")

// nodeConfig configures one process of Millrace: its API, its workers, or both.
type nodeConfig struct {
	database    databaseFlags
	listen      listenFlags
	replicas    replicaFlags
	connections connectionFlags
	api         *apiFlags // nil: no API
	limits      api.Limits
	work        *workFlags // nil: no workers
	ops         opsFlags
	platform    platformFlags
	webhooks    webhookFlags
	security    securityFlags
	dev         bool // an open API is intended, and needs no warning
	providers   providerFlags
	log         logFlags
	progress    *slog.Logger // for messages while stopping; nil: the log
}

// node is a process of Millrace while it is assembled. stops run in reverse order.
type node struct {
	config    nodeConfig
	logger    *slog.Logger
	log       *logWriter // of the logger; nil: each line is written at once
	progress  *slog.Logger
	registry  *prometheus.Registry
	queried   *prometheus.Registry // metrics that ask the database when they are read
	troubles  *troubles
	open      bool // accept requests without a credential, until closed
	closed    chan struct{}
	reloads   []func(nodeConfig) error // apply settings that were read again
	tls       *certificate             // nil without TLS
	leaving   chan struct{}            // closed when the process is asked to stop
	leave     []func()                 // run at that moment; they do not block
	oidc      *auth.OIDC               // nil: no identity provider
	addrs     map[string]string        // where the servers listen, by name
	listeners map[string]net.Listener  // by name
	failed    chan error               // errors of servers that end by themselves
	recent    *store.Recent
	clock     *store.Clock
	writes    *store.Writes
	holds     *store.Holds
	tracer    *trace.Tracer // nil: no spans
	listening *pgxpool.Pool // where River listens, if not on its own pool; nil without --listen-url
	polls     bool          // nothing listens
	level     *logLevel
	silence   func() time.Duration     // since the latest heartbeat; nil without workers
	running   func() map[string]int    // running jobs, by queue; nil without workers
	breakers  func() map[string]string // the states of this process's breakers by provider; nil without workers
	opsPool   *pgxpool.Pool            // of the operators' pages: the workers' own, or one for this alone
	// lanes has what this process has seen of the providers; nil without workers.
	lanes func() map[orders.Provider]upstream.Lane
	stops []func()
	once  sync.Once
}

// runNode runs until the process is told to stop or a part fails. ready, if not nil, is called with the addresses once
// everything works.
//
// It stops in the order that loses nothing: readiness ends and workers fetch nothing more, the drain delay passes,
// event streams close, the listener closes, requests finish, running steps finish, connections close.
func runNode(p *process, c nodeConfig, ready func(addrs map[string]string) error) (err error) {
	n := &node{
		config: c, registry: prometheus.NewRegistry(), queried: prometheus.NewRegistry(), failed: make(chan error, 2),
		addrs: map[string]string{}, listeners: map[string]net.Listener{}, recent: store.NewRecent(),
		closed: make(chan struct{}), leaving: make(chan struct{}), writes: store.NewWrites(time.Now),
	}
	n.logger = n.reloadableLogger(p.stderr)
	if n.progress = c.progress; n.progress == nil {
		n.progress = n.logger
	}
	defer n.log.flush()
	defer n.stop()
	n.clock = store.NewClock(store.ClockConfig{Logger: n.logger, Registerer: n.registry})
	n.troubles = newTroubles(n.registry, n.writes.Err, n.clock.Now)
	n.holds = store.NewHolds(store.HoldsConfig{Now: n.clock.Now, Logger: n.logger, Registerer: n.registry})
	n.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(c))
	settings, unfollowed := readAgain(p.args) // before anything takes time
	hangups := make(chan os.Signal, 1)
	if !c.dev { // dev ends with its terminal
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
	}
	systemd := newNotifier(n.logger, os.Getenv)
	n.background(systemd.feed) // until everything else has stopped
	if err := n.startTracing(p.ctx, os.Getenv); err != nil {
		return err
	}
	if err := n.start(p.ctx); err != nil {
		return err
	}
	if ready != nil {
		if err := ready(n.addrs); err != nil {
			return err
		}
	}
	if unfollowed == nil { // dev has no settings to follow
		n.followSettings(p.args, settings, hangups, systemd)
	}
	n.logger.InfoContext(p.ctx, "ready", "version", version, "api", n.addrs["api"], "ops", n.addrs["ops"])
	systemd.send("READY=1\nSTATUS=%s", version)
	select {
	case err = <-n.failed:
	case <-p.ctx.Done():
	}
	systemd.send("STOPPING=1\nSTATUS=stopping")
	stopped := n.tellStopping()
	if err == nil {
		n.depart(c.ops.DrainDelay)
	}
	n.stop()
	stopped()
	return err
}

func (n *node) stop() {
	n.once.Do(func() {
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for _, stop := range slices.Backward(n.stops) {
				stop()
			}
		}()
		select {
		case <-stopped:
		case <-time.After(stopTimeout):
			n.logger.Error("stop timed out, remaining work cut off")
		}
	})
}

// depart makes the process not ready, and has the workers fetch nothing more. Then it waits: requests are answered
// until every balancer has noticed.
func (n *node) depart(delay time.Duration) {
	close(n.leaving)
	for _, fn := range n.leave {
		fn()
	}
	if n.config.api == nil {
		return // no balancer sends anything
	}
	select {
	case <-time.After(delay):
	case err := <-n.failed: // a server that ended answers nothing
		n.logger.Error("server ended before the process stopped", "error", err)
	}
}

func (n *node) onStop(fn func()) { n.stops = append(n.stops, fn) }

// start assembles the process, from the database up.
func (n *node) start(ctx context.Context) error {
	c := n.config
	feedPool, err := n.pool(ctx, "feed", feedConnections)
	if err != nil {
		return err
	}
	if err := n.checkPooler(ctx, feedPool); err != nil {
		return err
	}
	migrated, err := store.Migrated(ctx, feedPool)
	if err != nil {
		return err
	}
	if !migrated {
		return errNotMigrated
	}
	if err := store.CheckConnections(ctx, feedPool, n.connections()); err != nil {
		return err
	}
	listening, err := n.openListener(ctx, feedPool)
	if err != nil {
		return err
	}

	guarding, err := store.New(store.Config{DB: feedPool, Now: n.clock.Now, Wall: time.Now, Holds: n.holds})
	if err != nil {
		return err
	}
	if err := n.secure(ctx, guarding); err != nil {
		return err
	}

	if err := checkClock(ctx, n.clock, feedPool); err != nil {
		return err
	}
	// Before the first job and the first order: an operator may have paused lanes, or stopped the intake.
	if err := n.holds.Follow(ctx, guarding.Levers); err != nil {
		return err
	}
	// Before the first order: after a pause of weeks it would otherwise go into the default partition.
	if err := guarding.Log.MakePartitions(ctx); err != nil {
		n.logger.WarnContext(ctx, "log partitions not made yet", "error", err)
	}

	if n.tls, err = newCertificate(c.platform); err != nil {
		return err
	}
	// A port that is in use stops the process before it works on anything.
	if err := n.bind(ctx, "ops", c.ops.OpsAddr); err != nil {
		return err
	}
	if c.api != nil {
		if err := n.bind(ctx, "api", c.api.APIAddr); err != nil {
			return err
		}
	}

	bell := store.NewDoorbell(feedPool, n.logger)
	n.background(bell.Run)
	feed := store.NewFeed(feedPool, n.logger, n.registry)
	feed.SetClock(n.clock)
	feed.ListenOn(listening)
	feed.Subscribe(n.recent.Follow)
	n.every(presenceEvery, n.troubles.look)
	river, err := n.startJobs(ctx, bell, feed, feedPool)
	if err != nil {
		return err
	}
	n.every(vigilEvery, n.vigil(guarding))
	n.every(holdsEvery, func(ctx context.Context) {
		_ = n.holds.Follow(ctx, guarding.Levers) // other parts report an outage of the database
	})
	pulse, err := n.watchDatabase(ctx)
	if err != nil {
		return err
	}
	if err := n.startOps(river, guarding, pulse); err != nil {
		return err
	}
	if c.api == nil {
		n.background(feed.Run)
		return nil
	}
	server, err := n.newAPI(ctx, bell, feed, feedPool, river.ID(), pulse)
	if err != nil {
		return err
	}
	n.leave = append(n.leave, server.Leave)
	n.onReload(func(c nodeConfig) error {
		server.Reconfigure(c.limits, c.api.AllowedOrigins)
		return nil
	})
	n.background(feed.Run) // after all subscriptions: a cache without the feed would serve stale orders
	n.serve("api", server, server.Drain, drainTimeout)
	return nil
}

// background runs fn until the process stops.
func (n *node) background(fn func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(ctx)
	}()
	n.onStop(func() {
		cancel()
		<-done
	})
}

// connections returns the most connections that the process may hold: its pools, and one for each listener.
func (n *node) connections() int {
	c, all := n.config, feedConnections+pulseConnections+2
	if c.api != nil {
		all += c.connections.APIConnections
	}
	if c.work == nil {
		return all + opsConnections
	}
	return all + c.connections.WorkConnections
}

func (n *node) pool(ctx context.Context, name string, connections int) (*pgxpool.Pool, error) {
	return n.poolOf(ctx, n.config.database.source(), name, connections)
}

func (n *node) poolOf(ctx context.Context, source, name string, connections int) (*pgxpool.Pool, error) {
	pool, err := store.NewPool(ctx, source, name, connections)
	if err != nil {
		return nil, err
	}
	n.onStop(pool.Close)
	n.registry.MustRegister(store.PoolCollector(name, pool))
	return pool, nil
}

// metrics returns all metrics of the process.
func (n *node) metrics() prometheus.Gatherer { return prometheus.Gatherers{n.registry, n.queried} }

// part returns a registerer for metrics that both the API and the workers have.
func (n *node) part(name string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"part": name}, n.registry)
}
