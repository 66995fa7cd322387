package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// silenceCase is where a check is seen to report something, and in which part of TestVerifySilence it is closest to
// reporting what is none.
type silenceCase struct{ fires, silent string }

// silenceCases has a case for each check: a new check needs one.
func silenceCases() map[string]silenceCase {
	const (
		planted = "../store/verify_test.go"
		queues  = "../store/verify_backlog_test.go"
		guards  = "../store/verify_guard_test.go"
	)
	return map[string]silenceCase{
		"unreadable":        {planted + ": AddressIsNoJSON", "slow"},
		"items":             {planted + ": NoItems", "slow"},
		"log":               {planted + ": LogWithGap", "upkeep"},
		"fold":              {planted + ": StateBesideLog", "slow"},
		"transition":        {planted + ": IllegalEvent", "slow"},
		"steps":             {planted + ": CapturedBeforeItMay", "slow"},
		"money":             {planted + ": CapturedTooMuch", "slow"},
		"rest":              {planted + ": NotUndone", "slow"},
		"stuck":             {planted + ": Stuck", "breaker"},
		"reconciliation":    {planted + ": Finding", "slow"},
		"idempotency_key":   {planted + ": SameKeyTwice", "slow"},
		"feed_order":        {planted + ": FeedOutOfOrder", "slow"},
		"orphan":            {planted + ": OrderGone", "slow"},
		"job":               {planted + ": NoJob", "restart"},
		"overdue":           {queues + ": OverdueLongAfter", "paused"},
		"long_job":          {planted + ": LongJob", "slow"},
		"backlog":           {queues + ": NeglectedForLong", "breaker"},
		"leader":            {"../store/vigil_test.go: NoLeader", "restart"},
		"verification":      {"../store/vigil_test.go: VerificationIsOld", "slow"},
		"log_upkeep":        {"../store/vigil_test.go: UpkeepFails", "upkeep"},
		"schema":            {"../store/vigil_test.go: LaterRelease", "slow"},
		"replication_slots": {"../store/vigil_test.go: TestVerifySlots", "slow"},
		"old_writer":        {planted + ": TestVerifySessions", "upkeep"},
		"old_snapshot":      {planted + ": TestVerifySessions", "upkeep"},
		"notifications":     {planted + ": TestVerifySessions", "slow"},
		"dead_rows":         {planted + ": DeadRows", "slow"},
		"guards":            {guards + ": WeakerCheck", "upkeep"},
		"clock":             {planted + ": TestVerifySessions", "slow"},
	}
}

// TestEveryCheckHasItsCases: a check that never reports anything is as useless as one that always does.
func TestEveryCheckHasItsCases(t *testing.T) {
	t.Parallel()
	cases := silenceCases()
	for _, check := range store.Checks() {
		require.Contains(t, cases, check.Name)
	}
	require.Len(t, cases, len(store.Checks()))
	for check, c := range cases {
		file, name, ok := strings.Cut(c.fires, ": ")
		require.True(t, ok, check)
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(source), name, check)
	}
}

// node is a process with workers: its own clock, providers, breakers and heartbeats, on the database of a system.
type node struct {
	store     *store.Store
	providers *upstream.Clients
	stop      func()
	pause     func(queue string, paused bool) error
}

func (s *system) node(skew time.Duration, config upstream.Config) *node {
	s.t.Helper()
	wall := func() time.Time { return time.Now().Add(skew) }
	logger := slog.New(slog.DiscardHandler)
	own, err := store.New(store.Config{DB: s.pool, Now: wall, Wall: wall})
	require.NoError(s.t, err)
	providers, err := upstream.New(config)
	require.NoError(s.t, err)
	recovery := jobs.NewRecovery(own, providers, logger, nil)
	client, err := jobs.NewClient(jobs.Config{
		Pool: s.pool, Store: own, Providers: providers, Recovery: recovery, Now: wall, Logger: logger,
		Clock: store.NewClock(store.ClockConfig{Wall: wall}), Workers: 2, SweepEvery: time.Second,
	})
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { recovery.Run(ctx) })
	require.NoError(s.t, client.Start(context.Background()))
	n := &node{store: own, providers: providers}
	n.stop = sync.OnceFunc(func() {
		_ = client.Stop(context.Background())
		cancel()
		ended.Wait()
		providers.Close()
	})
	n.pause = func(queue string, paused bool) error {
		if paused {
			return client.QueuePause(context.Background(), queue, nil)
		}
		return client.QueueResume(context.Background(), queue, nil)
	}
	s.t.Cleanup(n.stop)
	return n
}

// TestVerifySilence verifies over and over while two processes with clocks that are nearly four seconds apart go
// through what happens to a deployment in its life, and expects no finding.
func TestVerifySilence(t *testing.T) {
	t.Parallel()
	var config upstream.Config
	s := newSystem(t, func(_ *system, c *upstream.Config) { config = *c })
	slow := simulator.Fault{LatencyMs: 100, JitterMs: 200}
	faults := simulator.Faults{orders.Payment: slow, orders.Inventory: slow, orders.Shipping: slow, orders.Email: slow}
	require.NoError(t, s.simulator.SetFaults(faults))
	first, second := s.node(1900*time.Millisecond, config), s.node(-1900*time.Millisecond, config)
	eventually := func(what string, condition func() bool) {
		t.Helper()
		require.Eventually(t, condition, time.Minute, 20*time.Millisecond, "waiting for %s", what)
	}
	eventually("the heartbeats", func() bool { return s.scan("SELECT count(*) FROM instances") == 2 })
	// They have lived for long: verification is patient with a process that has just started.
	s.exec("UPDATE instances SET started_at = started_at - interval '1 day', live_since = live_since - interval '1 day'")
	eventually("a leader", func() bool { return s.scan("SELECT count(*) FROM river_leader") == 1 })
	eventually("the log's upkeep", func() bool {
		return s.scan("SELECT count(*) FROM log_upkeep WHERE succeeded_at IS NOT NULL") == 1
	})
	s.exec(`INSERT INTO verification (started_at, duration_seconds, orders, events, violations)
		VALUES (now(), 1, 1, 1, '[]')`)

	ctx, cancel := context.WithCancel(t.Context())
	var verified atomic.Int64
	var verifying sync.WaitGroup
	for i, n := range []*node{first, second} {
		verifying.Go(func() {
			for ctx.Err() == nil {
				v, err := n.store.Verifier.Verify(ctx, store.VerifyOptions{Deep: i == 0})
				if err != nil {
					if ctx.Err() == nil && !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("verify: %v", err)
					}
					continue
				}
				if len(v.Violations) > 0 {
					t.Errorf("a false alarm: %+v", v.Violations)
					return
				}
				verified.Add(1)
			}
		})
	}
	defer verifying.Wait()
	defer cancel()
	seen := func(times int64) { // so often while all is as it is now
		t.Helper()
		want := verified.Load() + times
		eventually("verifications", func() bool { return verified.Load() >= want || t.Failed() })
	}
	place := func() (ids []orders.ID) {
		for range 15 {
			ids = append(ids, s.place(nil))
		}
		return ids
	}
	complete := func(ids []orders.ID) {
		t.Helper()
		for _, id := range ids {
			s.awaitStatus(id, orders.Completed)
		}
	}
	// Jobs of a queue have waited for long.
	age := func(queue string) {
		t.Helper()
		s.exec(`UPDATE river_job SET scheduled_at = scheduled_at - interval '1 hour'
			WHERE state = 'available' AND queue = $1`, queue)
	}
	parts := []struct {
		name string
		do   func()
	}{
		{"slow", func() { complete(place()) }},
		{"breaker", func() {
			faults[orders.Payment] = simulator.Fault{Down: true}
			require.NoError(t, s.simulator.SetFaults(faults))
			ids := place()
			eventually("a shut queue", func() bool {
				return s.scan("SELECT count(*) FROM queue_attendance WHERE queue = 'payment' AND shut_at IS NOT NULL") == 1
			})
			age("payment")
			seen(3)
			faults[orders.Payment] = slow
			require.NoError(t, s.simulator.SetFaults(faults))
			complete(ids)
		}},
		{"paused", func() {
			require.NoError(t, first.pause("shipping", true))
			eventually("a paused queue", func() bool {
				return s.scan("SELECT count(*) FROM queue_attendance WHERE queue = 'shipping' AND paused_at IS NOT NULL") == 1
			})
			ids := place()
			age("shipping")
			seen(3)
			require.NoError(t, first.pause("shipping", false))
			complete(ids)
		}},
		{"upkeep", func() {
			ids := place()
			s.exec("UPDATE order_events SET logged_at = logged_at - interval '60 days' WHERE kind = 'order_placed'")
			_, err := first.store.Log.Maintain(t.Context(), 90*24*time.Hour)
			if err != nil && !errors.Is(err, store.ErrUnavailable) { // it gives way to sessions that work with the log
				t.Errorf("log upkeep: %v", err)
			}
			complete(ids)
		}},
		{"restart", func() {
			ids := place()
			first.stop()
			s.node(1900*time.Millisecond, config)
			complete(ids)
		}},
	}
	done := map[string]bool{}
	for _, part := range parts {
		part.do()
		seen(3)
		done[part.name] = true
		require.False(t, t.Failed(), part.name)
	}
	for check, c := range silenceCases() {
		require.True(t, done[c.silent], check)
	}
}
