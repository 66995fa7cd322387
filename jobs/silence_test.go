package jobs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
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
		"stuck":             {planted + ": Stuck", "waiting"},
		"reconciliation":    {planted + ": Finding", "compared"},
		"idempotency_key":   {planted + ": SameKeyTwice", "slow"},
		"feed_order":        {planted + ": FeedOutOfOrder", "slow"},
		"orphan":            {planted + ": OrderGone", "slow"},
		"job":               {planted + ": NoJob", "restart"},
		"overdue":           {queues + ": OverdueLongAfter", "waiting"},
		"long_job":          {planted + ": LongJob", "webhooks"},
		"backlog":           {queues + ": NeglectedForLong", "waiting"},
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

// slowReceiver is the other end of a webhook: it takes 300 ms for each message.
func slowReceiver(t *testing.T) *receiver {
	t.Helper()
	return newReceiver(t, func(http.ResponseWriter, received) { <-time.After(300 * time.Millisecond) })
}

// hangingReceiver is the other end of a webhook that never answers. It counts the messages.
func hangingReceiver(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	r := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, request.Body) // the server notices that the sender is gone only after the body
		<-request.Context().Done()
	}))
	t.Cleanup(r.Close)
	return r.URL, asked
}

// TestVerifySilence verifies over and over while two processes, which share nothing but the database and have clocks
// that are two seconds apart, go through what happens to a deployment in its life. Providers and webhooks are slow, and
// everything is compared with the providers each second. It expects no finding.
func TestVerifySilence(t *testing.T) {
	t.Parallel()
	var config upstream.Config
	s := newSystem(t, func(_ *system, c *upstream.Config) { config = *c })
	slow := simulator.Fault{LatencyMs: 100, JitterMs: 200}
	faults := simulator.Faults{orders.Payment: slow, orders.Inventory: slow, orders.Shipping: slow, orders.Email: slow}
	require.NoError(t, s.simulator.SetFaults(faults))
	slowly := slowReceiver(t)
	silent, asked := hangingReceiver(t)
	for _, url := range []string{slowly.URL, silent} {
		_, err := s.store.Webhooks.Make(t.Context(), store.NewWebhook{
			Owner: store.Owner{Principal: url}, URL: url, Secret: webhook.NewSecret(),
		})
		require.NoError(t, err)
	}
	first, second := s.node(time.Second, config), s.node(-time.Second, config)
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
			often := time.NewTicker(20 * time.Millisecond) // the other tests need the processor, too
			defer often.Stop()
			for ctx.Err() == nil {
				<-often.C
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
		for range 10 {
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
	var compare time.Time
	parts := []struct {
		name string
		do   func()
	}{
		{"slow", func() {
			complete(place())
			compare = time.Now()
		}},
		{"waiting", func() { // for a provider that is down, and for one whose queue is paused
			faults[orders.Payment] = simulator.Fault{Down: true}
			require.NoError(t, s.simulator.SetFaults(faults))
			require.NoError(t, first.pause("shipping", true))
			ids := place()
			for queue, since := range map[string]string{"payment": "shut_at", "shipping": "paused_at"} {
				eventually(since+" of "+queue, func() bool {
					return s.scan("SELECT count(*) FROM queue_attendance WHERE queue = '"+queue+"' AND "+since+" IS NOT NULL") == 1
				})
				// Carrying jobs learn of a pause up to a second late: orders go by before.
				require.Eventually(t, func() bool {
					ids = append(ids, s.place(nil))
					return s.scan("SELECT count(*) FROM river_job WHERE finalized_at IS NULL AND queue = '"+queue+"'") > 0
				}, time.Minute, 250*time.Millisecond, "waiting for jobs of %s", queue)
				age(queue)
			}
			seen(3)
			faults[orders.Payment] = slow
			require.NoError(t, s.simulator.SetFaults(faults))
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
			s.node(time.Second, config)
			complete(ids)
		}},
		{"compared", func() {
			eventually("the comparison", func() bool {
				list, err := s.store.Findings.Progress(t.Context())
				return err == nil && len(list) == len(orders.Providers()) &&
					!slices.ContainsFunc(list, func(r store.Reconciliation) bool { return r.To.Before(compare) })
			})
		}},
		{"webhooks", func() {
			eventually("messages", func() bool { return len(slowly.messages()) >= 10 && asked.Load() > 1 })
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
