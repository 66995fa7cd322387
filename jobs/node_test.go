package jobs_test

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// node is a process with workers on the database of a system. Its clock, pools, store, providers, breakers, heartbeats
// and readers of the log are its own.
type node struct {
	store *store.Store
	stop  func()
	pause func(queue string, paused bool) error
}

// node starts a process whose clock differs from the real one by skew.
func (s *system) node(skew time.Duration, config upstream.Config) *node {
	s.t.Helper()
	wall := func() time.Time { return time.Now().Add(skew) }
	logger := slog.New(slog.DiscardHandler)
	work, listen := s.connect(), s.connect()
	bell := store.NewDoorbell(work, logger)
	own, err := store.New(store.Config{DB: work, Doorbell: bell, Now: wall, Wall: wall})
	require.NoError(s.t, err)
	providers, err := upstream.New(config)
	require.NoError(s.t, err)
	sender := webhook.NewSender(webhook.Config{
		Policy:  webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Timeout: 2 * time.Second, Now: wall,
	})
	recovery := jobs.NewRecovery(own, providers, logger, nil)
	client, err := jobs.NewClient(jobs.Config{
		Pool: work, Listen: listen, Store: own, Providers: providers, Recovery: recovery, Now: wall, Logger: logger,
		Clock: store.NewClock(store.ClockConfig{Wall: wall}), Workers: 2, SweepEvery: time.Second,
		ReconcileEvery: time.Second, ReconcileGrace: nodeGrace, ReconcileRepair: true,
		Webhooks: &jobs.Webhooks{Sender: sender, Workers: 2},
	})
	require.NoError(s.t, err)
	fanOut, feed := jobs.NewFanOut(own.Deliveries, logger, nil), store.NewFeed(listen, logger, nil)
	feed.Subscribe(func([]store.Entry) { fanOut.Wake() })
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	for _, run := range []func(context.Context){bell.Run, recovery.Run, feed.Run, fanOut.Run} {
		ended.Go(func() { run(ctx) })
	}
	require.NoError(s.t, client.Start(context.Background()))
	n := &node{store: own}
	var stopped sync.Once
	end := func(stop func(context.Context) error) {
		stopped.Do(func() {
			_ = stop(context.Background())
			cancel()
			ended.Wait()
			sender.Close()
			providers.Close()
		})
	}
	n.stop = func() { end(client.Stop) }
	n.pause = func(queue string, paused bool) error {
		if paused {
			return client.QueuePause(context.Background(), queue, nil)
		}
		return client.QueueResume(context.Background(), queue, nil)
	}
	s.t.Cleanup(func() { end(client.StopAndCancel) })
	return n
}

// nodeGrace is longer than the clocks of two nodes differ.
const nodeGrace = 3 * time.Second

// connect makes another pool for the system's database.
func (s *system) connect() *pgxpool.Pool {
	s.t.Helper()
	config := s.pool.Config()
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	require.NoError(s.t, err)
	s.t.Cleanup(pool.Close)
	return pool
}
