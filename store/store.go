// Package store keeps orders in Postgres, and is the only package that knows SQL.
//
// Every write is one transaction that carries the order, its log, its steps and their River jobs: all of it is visible
// at once, or none of it ever is. Every write takes a slice, because one transaction for many callers is what makes it
// fast. Decisions are not made here: Place and Apply ask the orders package what to write.
//
// store imports orders and River's insert-only client. It knows no worker and no HTTP.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// DB is a *pgxpool.Pool, or in tests a pgx.Tx that is rolled back, on which a transaction is a savepoint.
type DB interface {
	dbsqlc.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Config configures a Store.
type Config struct {
	DB DB
	// Now is the clock of all rows that are written. Default time.Now.
	Now func() time.Time
	// Wall is this machine's clock, which verification compares with the database's. Default: Now.
	Wall func() time.Time
	// Doorbell is rung after each commit. nil: readers and workers find out by polling.
	Doorbell *Doorbell
	// Feed is this process's feed of the same database. Log then reads at least as far as the feed has: a stream that
	// begins with the log goes on with the feed, and would miss what lies between. May be nil.
	Feed *Feed
	// Recent is what this process knows of orders without reading them. Default: a new one.
	Recent *Recent
	// Holds is what this process knows of the levers. Default: a new one, which follows none.
	Holds *Holds
	// Writes learns whether placements are stored. May be nil.
	Writes *Writes
	// VerifyEvery is how often this process verifies while it leads. Its heartbeats carry it. 0: never.
	VerifyEvery time.Duration
	// SweepEvery is how often this process sweeps while it leads. Its heartbeats carry it, for explanations.
	SweepEvery time.Duration
	// MailsOperator enqueues an e-mail for each message to operators.
	MailsOperator bool
	// Alone gives each call a transaction of its own. For comparison: it costs most of the throughput.
	Alone      bool
	Registerer prometheus.Registerer // may be nil
}

// Store is the database, with one field for each kind of data. All fields are safe for concurrent use.
type Store struct {
	Orders        *Orders
	Steps         *Steps
	DeadLetters   *DeadLetters
	Log           *Log
	Webhooks      *Webhooks
	Deliveries    *Deliveries
	Notices       *Notices
	Notifications *Notifications
	Inventory     *Inventory
	Findings      *Findings
	Credentials   *Credentials
	Audit         *Audit
	Instances     *Instances
	Queues        *Queues
	Server        *Server
	Processes     *Processes
	History       *History
	Verifier      *Verifier
	Customers     *Customers
	Archive       *Archive
	Levers        *Levers
	Holds         *Holds // as in Config
}

// New makes a Store. It does not touch the database.
func New(c Config) (*Store, error) {
	jobs, err := newJobInserter()
	if err != nil {
		return nil, fmt.Errorf("make job inserter: %w", err)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wall == nil {
		c.Wall = c.Now
	}
	if c.Holds == nil {
		c.Holds = NewHolds(HoldsConfig{Now: c.Now})
	}
	queries := dbsqlc.New()
	d := &database{
		db: newImpatient(c.DB, readTimeout), patient: newImpatient(c.DB, 0), queries: queries,
		bounds: boundsOf(c.Feed, queries), jobs: jobs, now: c.Now, wall: c.Wall, bell: c.Doorbell,
	}
	orders, steps, log := newOrders(d, c), &Steps{d}, &Log{d}
	webhooks := &Webhooks{d, log}
	deliveries := &Deliveries{d, log, webhooks}
	notices := &Notices{d, deliveries, c.MailsOperator}
	return &Store{
		Orders: orders, Steps: steps, DeadLetters: &DeadLetters{d}, Log: log, Webhooks: webhooks,
		Deliveries: deliveries, Notices: notices, Notifications: &Notifications{d}, Inventory: &Inventory{d},
		Findings: &Findings{d, orders}, Credentials: &Credentials{d}, Audit: &Audit{d},
		Instances: &Instances{d, c.VerifyEvery, c.SweepEvery}, Queues: &Queues{d}, Server: &Server{d},
		Processes: &Processes{d}, History: &History{d}, Verifier: &Verifier{d, steps, notices}, Customers: &Customers{d},
		Archive: &Archive{d},
		Levers:  &Levers{d}, Holds: c.Holds,
	}, nil
}
