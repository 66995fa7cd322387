package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// serverTables is how many tables Tables returns at most. Millrace has fewer.
const serverTables = 50

// Server is the Postgres server itself.
type Server struct {
	*database
}

// ServerHealth is what may go wrong with a server that still answers.
type ServerHealth struct {
	// Visible reports whether the role sees the sessions and the standbys of other users. If not, XminAge,
	// OldestTransaction and Blocked are about its own sessions, and the standbys are unknown.
	Visible           bool
	XminAge           int64         // in transactions: dead rows that are younger stay
	OldestTransaction time.Duration // of this database
	XIDAge            int64         // of the oldest database; at 2 billion Postgres stops
	MultixactAge      int64
	Connections       int64
	ConnectionsLimit  int64
	Blocked           int64 // sessions that wait for a lock
	Bytes             int64 // of this database
	PartitionsAhead   int64 // of the log, beside this week's
	SyncConfigured    bool  // commits wait for a standby
	SyncStandbys      int64
	AsyncStandbys     int64
	LagBytes          int64 // of the standby that is furthest behind
	Lag               time.Duration
	SlotBytes         int64 // WAL that is kept for a replication slot
}

// Health reads the server's state.
func (s *Server) Health(ctx context.Context) (ServerHealth, error) {
	row, err := s.queries.ServerHealth(ctx, s.db)
	if err != nil {
		return ServerHealth{}, fmt.Errorf("read health of the server: %w", err)
	}
	return ServerHealth{
		Visible: row.Visible, XminAge: row.XminAge, OldestTransaction: seconds(row.TransactionSeconds),
		XIDAge: row.XidAge, MultixactAge: row.MultixactAge,
		Connections: row.Connections, ConnectionsLimit: row.ConnectionsLimit, Blocked: row.Blocked,
		Bytes: row.DatabaseBytes, PartitionsAhead: row.PartitionsAhead,
		SyncConfigured: row.SyncConfigured, SyncStandbys: row.SyncStandbys, AsyncStandbys: row.AsyncStandbys,
		LagBytes: row.LagBytes, Lag: seconds(row.LagSeconds), SlotBytes: row.SlotBytes,
	}, nil
}

// Table is the size of a table, with all its partitions. The numbers of rows are Postgres's estimates.
type Table struct {
	Name                  string
	Live, Dead            int64 // rows
	HeapBytes, IndexBytes int64
}

// Tables returns Millrace's tables, the largest first.
func (s *Server) Tables(ctx context.Context) ([]Table, error) {
	rows, err := s.queries.ServerTables(ctx, s.db, serverTables)
	if err != nil {
		return nil, fmt.Errorf("read sizes of tables: %w", err)
	}
	tables := make([]Table, len(rows))
	for i, row := range rows {
		tables[i] = Table{row.Name, row.Live, row.Dead, row.HeapBytes, row.IndexBytes}
	}
	return tables, nil
}

// agedOrders is among how many of the oldest orders under way the oldest of each status is looked for.
const agedOrders = 1000

// UnfinishedAges returns the age of the oldest order that is pending, processing or in need of attention, by status; 0
// if there is none, or if the 1,000 oldest orders under way are all of the other status.
func (s *Queues) UnfinishedAges(ctx context.Context) (map[orders.Status]time.Duration, error) {
	rows, err := s.queries.UnfinishedAges(ctx, s.db, agedOrders)
	if err != nil {
		return nil, fmt.Errorf("read ages of orders: %w", err)
	}
	ages := map[orders.Status]time.Duration{orders.Pending: 0, orders.Processing: 0, orders.NeedsAttention: 0}
	for _, row := range rows {
		ages[orders.Status(row.Status)] = seconds(row.AgeSeconds)
	}
	return ages, nil
}

func seconds(s float64) time.Duration { return time.Duration(max(s, 0) * float64(time.Second)) }
