package store

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Settings of every connection. A transaction that idles holds back the feed and vacuum for all processes.
const (
	warmConns         = 2
	maxConnLifetime   = 5 * time.Minute
	healthCheckPeriod = 15 * time.Second
	pingTimeout       = 2 * time.Second
	statementTimeout  = "10s"
	idleInTxTimeout   = "10s"
	lockWait          = "1s"
	// migrationLockWait bounds how long other sessions queue behind a migration that waits for a lock. A migration sets
	// another limit for statements that keep no other session waiting.
	migrationLockWait = "100ms"
)

// NewPool connects to the primary that the URL names: of several hosts, the one that accepts writes. Each part of a
// process has its own pool, so that a burst of requests cannot starve the workers, and the workers cannot starve
// requests.
//
// name is shown in pg_stat_activity. NewPool fails if the URL is malformed, and not if the database is down.
//
// Statements have time limits, except those of NewMigrationPool.
func NewPool(ctx context.Context, url, name string, maxConns int) (*pgxpool.Pool, error) {
	return newPool(ctx, url, name, maxConns, false)
}

// NewReplicaPool connects to a standby. Its sessions have the settings of the primary's, and a server that accepts
// writes is refused.
func NewReplicaPool(ctx context.Context, url, name string, maxConns int) (*pgxpool.Pool, error) {
	return newPool(ctx, url, name, maxConns, true)
}

func newPool(ctx context.Context, url, name string, maxConns int, standby bool) (*pgxpool.Pool, error) {
	c, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	c.MaxConns = int32(maxConns)
	c.MinIdleConns = int32(min(maxConns, warmConns)) // a burst does not have to wait for its connections
	c.MaxConnLifetime = maxConnLifetime
	c.MaxConnLifetimeJitter = maxConnLifetime / 5
	c.HealthCheckPeriod = healthCheckPeriod
	c.PingTimeout = pingTimeout
	var made atomic.Pointer[pgxpool.Pool] // NewWithConfig connects before it returns
	prepare := func(c *pgx.ConnConfig, through pooler) {
		c.ConnectTimeout = connectTimeout // per host
		c.DialFunc = newDialer().DialContext
		inherit(&c.Config, name, through, standby)
		c.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
			if pool := made.Load(); pool != nil && err.Code == readOnly {
				pool.Reset() // other connections lead to the same server, and those that only read would never find out
			}
			return err.SeverityUnlocalized != "FATAL" && err.Code != readOnly
		}
	}
	prepare(c.ConnConfig, c.pooler)
	c.ConnConfig.Tracer = newFailureTracer(name) // PoolCollector exports its counts
	c.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
		again, err := parseURL(url) // it reads the files of passwords and services
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		tracer := conn.Tracer
		*conn = *again.ConnConfig
		conn.Tracer = tracer
		prepare(conn, again.pooler)
		return nil
	}
	c.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, c.Config)
	if err != nil {
		return nil, fmt.Errorf("make pool: %w", err)
	}
	made.Store(pool)
	return pool, nil
}

const (
	migrationPool        = "migrate"
	migrationConnections = 4
)

// NewMigrationPool connects for Migrate. It refuses a pooler in transaction mode: a migration waits for locks as long
// as its session says, and builds indexes that take longer than a pooler's transactions may.
func NewMigrationPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	c, err := parseURL(url)
	if err == nil && c.pooler == transactionPooler {
		err = &SettingError{"migrate needs a session of its own, which a pooler in transaction mode does not give: set " +
			"--listen-url or --database-url to Postgres itself"}
	}
	if err != nil {
		return nil, err
	}
	return NewPool(ctx, url, migrationPool, migrationConnections)
}

// readOnly is the code of a write that is refused because the primary has become a standby, or is about to.
const readOnly = "25006"

// errDemoted reports that a connection leads to a server that accepts no more writes.
var errDemoted = fmt.Errorf("%w: the primary has become read-only", ErrUnavailable)

// CheckConnections refuses a role, a database or a server that allows fewer connections than a process needs: the
// process would start, and then find no connection for its requests. Behind a pooler in transaction mode, the pooler
// decides how many sessions there are.
func CheckConnections(ctx context.Context, pool *pgxpool.Pool, needed int) error {
	if Pooled(pool) {
		return nil
	}
	allowed, err := dbsqlc.New().ConnectionsAllowed(ctx, pool)
	if err != nil {
		return fmt.Errorf("read how many connections are allowed: %w", classify(err))
	}
	for _, limit := range []struct {
		of      string
		allowed int32
	}{
		{"the role " + allowed.Role, allowed.OfRole}, {"the database", allowed.OfDatabase}, {"the server", allowed.OfServer},
	} {
		if limit.allowed >= 0 && int(limit.allowed) < needed {
			return &SettingError{fmt.Sprintf("%s allows %d connections and this process needs %d: allow more, or lower "+
				"--api-connections and --work-connections", limit.of, limit.allowed, needed)}
		}
	}
	return nil
}
