package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/store"
)

// serverFresh is how old the state of Postgres may be that a scrape shows. Sizes of tables need a look at each file.
const serverFresh = 10 * time.Second

// ServerCollector exports the state of the Postgres server, the leader, and the age of unfinished orders. It queries
// the database at a scrape, for the server's state at most every ten seconds.
type ServerCollector struct {
	queues *store.Queues
	server *store.Server
	self   string // this process's id, as River's leader is named
	now    func() time.Time
	logger *slog.Logger

	leader      *prometheus.Desc
	unfinished  *prometheus.Desc
	xmin        *prometheus.Desc
	transaction *prometheus.Desc
	wraparound  *prometheus.Desc
	connections *prometheus.Desc
	limit       *prometheus.Desc
	blocked     *prometheus.Desc
	size        *prometheus.Desc
	rows        *prometheus.Desc
	bytes       *prometheus.Desc
	ahead       *prometheus.Desc
	configured  *prometheus.Desc
	standbys    *prometheus.Desc
	lagBytes    *prometheus.Desc
	lag         *prometheus.Desc
	slot        *prometheus.Desc

	mu     sync.Mutex
	at     time.Time
	health store.ServerHealth
	tables []store.Table
}

// NewServerCollector makes a collector that reads through s. self is the id of this process's River client.
func NewServerCollector(s *store.Store, self string, now func() time.Time, logger *slog.Logger) *ServerCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millrace_"+name, help, labels, nil)
	}
	return &ServerCollector{
		queues: s.Queues, server: s.Server, self: self, now: now, logger: logger,
		leader:     desc("leader", "1 if this process enqueues the periodic jobs."),
		unfinished: desc("orders_oldest_unfinished_age_seconds", "Age of the oldest order that is not at rest.", "status"),
		xmin: desc("postgres_xmin_age_transactions",
			"Transactions since the oldest one that any session, slot or prepared transaction still sees."),
		transaction: desc("postgres_oldest_transaction_age_seconds", "Age of the oldest transaction of the database."),
		wraparound: desc("postgres_wraparound_age_transactions",
			"Transactions since the oldest id that is not frozen yet.", "kind"),
		connections: desc("postgres_connections", "Connections to the server."),
		limit:       desc("postgres_connections_limit", "Connections that the server allows (max_connections)."),
		blocked:     desc("postgres_sessions_blocked", "Sessions that wait for a lock."),
		size:        desc("postgres_database_bytes", "Size of the database."),
		rows:        desc("postgres_table_rows", "Rows of a table, as Postgres estimates them.", "table", "state"),
		bytes:       desc("postgres_table_bytes", "Size of a table and of its indexes.", "table", "part"),
		ahead:       desc("postgres_log_partitions_ahead", "Partitions of the log for weeks to come."),
		configured:  desc("postgres_synchronous_standby_configured", "1 if commits wait for a standby."),
		standbys:    desc("postgres_standbys", "Standbys that stream.", "state"),
		lagBytes:    desc("postgres_replication_lag_bytes", "WAL that the standby that is furthest behind has not replayed."),
		lag:         desc("postgres_replication_lag_seconds", "Time by which the standby that is furthest behind is late."),
		slot:        desc("postgres_slot_retained_bytes", "WAL that is kept for the slot that is furthest behind."),
	}
}

// Describe implements prometheus.Collector.
func (c *ServerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.leader, c.unfinished, c.xmin, c.transaction, c.wraparound, c.connections, c.limit, c.blocked, c.size, c.rows,
		c.bytes, c.ahead, c.configured, c.standbys, c.lagBytes, c.lag, c.slot,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector. A query that fails, or takes too long, drops only its own series.
func (c *ServerCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var queries errgroup.Group
	queries.SetLimit(2) // of the workers' connections
	for _, query := range []func(context.Context, chan<- prometheus.Metric) error{
		c.collectLeader, c.collectAges, c.collectServer,
	} {
		queries.Go(func() error {
			if err := query(ctx, ch); err != nil {
				c.logger.WarnContext(ctx, "server metrics query failed", "error", err)
			}
			return nil
		})
	}
	_ = queries.Wait()
}

func gauge(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func (c *ServerCollector) collectLeader(ctx context.Context, ch chan<- prometheus.Metric) error {
	leader, err := c.queues.Leader(ctx)
	if err != nil {
		return err
	}
	gauge(ch, c.leader, oneIf(leader == c.self))
	return nil
}

func (c *ServerCollector) collectAges(ctx context.Context, ch chan<- prometheus.Metric) error {
	ages, err := c.queues.UnfinishedAges(ctx)
	for status, age := range ages {
		gauge(ch, c.unfinished, age.Seconds(), string(status))
	}
	return err
}

func (c *ServerCollector) collectServer(ctx context.Context, ch chan<- prometheus.Metric) error {
	health, tables, err := c.read(ctx)
	if err != nil {
		return err
	}
	gauge(ch, c.xmin, float64(health.XminAge))
	gauge(ch, c.transaction, health.OldestTransaction.Seconds())
	gauge(ch, c.wraparound, float64(health.XIDAge), "xid")
	gauge(ch, c.wraparound, float64(health.MultixactAge), "multixact")
	gauge(ch, c.connections, float64(health.Connections))
	gauge(ch, c.limit, float64(health.ConnectionsLimit))
	gauge(ch, c.blocked, float64(health.Blocked))
	gauge(ch, c.size, float64(health.Bytes))
	gauge(ch, c.ahead, float64(health.PartitionsAhead))
	gauge(ch, c.configured, oneIf(health.SyncConfigured))
	gauge(ch, c.slot, float64(health.SlotBytes))
	if health.Visible {
		gauge(ch, c.standbys, float64(health.SyncStandbys), "synchronous")
		gauge(ch, c.standbys, float64(health.AsyncStandbys), "asynchronous")
		gauge(ch, c.lagBytes, float64(health.LagBytes))
		gauge(ch, c.lag, health.Lag.Seconds())
	}
	for _, table := range tables {
		gauge(ch, c.rows, float64(table.Live), table.Name, "live")
		gauge(ch, c.rows, float64(table.Dead), table.Name, "dead")
		gauge(ch, c.bytes, float64(table.HeapBytes), table.Name, "heap")
		gauge(ch, c.bytes, float64(table.IndexBytes), table.Name, "indexes")
	}
	return nil
}

// read returns the server's state, from memory if it was read a moment ago.
func (c *ServerCollector) read(ctx context.Context) (store.ServerHealth, []store.Table, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if age := now.Sub(c.at); age >= 0 && age < serverFresh {
		return c.health, c.tables, nil
	}
	health, err := c.server.Health(ctx)
	if err != nil {
		return health, nil, err
	}
	tables, err := c.server.Tables(ctx)
	if err != nil {
		return health, nil, err
	}
	c.at, c.health, c.tables = now, health, tables
	return health, tables, nil
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
