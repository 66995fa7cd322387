package board_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/board"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

const (
	// showsWithin is what docs/board.md promises.
	showsWithin = 2 * time.Second
	// reportedWithin is when a process has reported what its database does not know by itself.
	reportedWithin = 500 * time.Millisecond
	// onTheWay is for requests and queries.
	onTheWay = 200 * time.Millisecond
)

// TestLive: a page that is open shows a change within two seconds, whatever the change. The page asks at intervals, and
// in between the board answers from memory.
func TestLive(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*testing.T, desk)
		shows  string
	}{
		"LanePaused": {func(t *testing.T, d desk) {
			_, err := d.store.Levers.PauseLane(t.Context(), orders.Payment,
				store.NewHold{Reason: "The bank is moving"}, store.Actor{Name: "ann"})
			require.NoError(t, err)
		}, "The lane of payment is paused until"},
		"IntakeStopped": {func(t *testing.T, d desk) {
			_, err := d.store.Levers.StopIntake(t.Context(),
				store.NewHold{Reason: "We move"}, store.Actor{Name: "ann"})
			require.NoError(t, err)
		}, "No orders are taken until"},
		"BreakerOpen":  {func(t *testing.T, d desk) { d.report(t, "open") }, "The breaker of payment is open"},
		"OrderPlaced":  {func(t *testing.T, d desk) { storetest.Order(t, d.store) }, "<dt>Pending</dt><dd>1</dd>"},
		"NeedDecision": {func(t *testing.T, d desk) { d.attention(t, "1") }, "1 order needs a decision"},
		"CauseOfIt":    {func(t *testing.T, d desk) { d.attention(t, "1") }, "Look at the causes, and redrive"},
		"ProcessSilent": {func(t *testing.T, d desk) {
			d.exec(t, "UPDATE millrace.processes SET reported_at = now() - interval '1 minute'")
		}, "has been silent since"},
		"Violation": {func(t *testing.T, d desk) {
			d.exec(t, `INSERT INTO millrace.verification (started_at, duration_seconds, orders, events, violations)
				VALUES (now(), 1, 1, 1, '[{"check": "items", "count": 1, "means": "wrong totals", "do": "Look."}]')`)
		}, "Wrong totals. (items)</h1>\n<p>Look. <span class=\"do\">Runbook: MillraceInvariantViolated."},
		"Trouble": {func(t *testing.T, d desk) {
			d.report(t, "closed", store.Trouble{Alert: "MillraceOverloaded", Text: "It turned 2 requests away."})
		}, "Process web1 (serve): It turned 2 requests away.</strong> Add a process"},
		"Standby": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{Visible: true, SyncConfigured: true, PartitionsAhead: 1})
		}, "Runbook: MillraceStandbyMissing."},
		"Connections": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{Connections: 91, ConnectionsLimit: 100, PartitionsAhead: 1})
		}, "91 of 100 connections to Postgres are taken."},
		"OldTransaction": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{OldestTransaction: 6 * time.Minute, PartitionsAhead: 1})
		}, "A transaction has been open for 6 min."},
		"Wraparound": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{MultixactAge: 1_000_200_000, PartitionsAhead: 1})
		}, "Postgres has not frozen old ids for 1,000,000,000 transactions."},
		"ReplicationLag": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{Visible: true, AsyncStandbys: 1, LagBytes: 317_000_000, PartitionsAhead: 1})
		}, "A standby has 310 MB of WAL left to replay."},
		"Partitions": {func(_ *testing.T, d desk) {
			d.server.Store(&store.ServerHealth{})
		}, "Runbook: MillraceLogPartitionsMissing."},
		"WebhooksPaused": {func(t *testing.T, d desk) {
			d.exec(t, `INSERT INTO millrace.river_queue (name, created_at, updated_at, paused_at)
				VALUES ('webhooks', now(), now(), now())`)
		}, "The queue of webhooks is paused in River UI."},
		"Finding": {func(t *testing.T, d desk) {
			d.exec(t, `INSERT INTO millrace.reconciliation_findings
					(provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at, rechecked_at)
				VALUES ('payment', 'amount', 'k', '', '', 'open', now(), now(), now())`)
		}, "1 open finding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var now atomic.Int64
			d := openAt(t, func() time.Time { return time.Unix(0, now.Load()) })
			get := func(path string) page {
				got := d.get(t, path)
				for got.status == http.StatusServiceUnavailable { // the machine has too much to do
					now.Add(int64(time.Minute))
					got = d.get(t, path)
				}
				return got
			}
			d.report(t, "closed")
			first := get("/board/").body
			seen, every := match(t, `seen=([0-9a-f]+)`, first), match(t, `hx-trigger="every ([0-9a-z]+)"`, first)
			asks, err := time.ParseDuration(every)
			require.NoError(t, err)
			require.NotContains(t, first, tt.shows)

			tt.change(t, d)
			got := get("/board/now?seen=" + seen)
			require.Equal(t, http.StatusNoContent, got.status, "it answers from memory for a moment")
			left := showsWithin - asks - onTheWay
			if name == "BreakerOpen" || name == "Trouble" {
				left -= reportedWithin
			}
			now.Add(int64(left))
			got = get("/board/now?seen=" + seen)
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, tt.shows)
		})
	}
}

func match(t *testing.T, pattern, text string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	require.NotNil(t, found, pattern)
	return found[1]
}

// openAt opens a board whose measurements age by a clock.
func openAt(t *testing.T, now func() time.Time) desk {
	t.Helper()
	db := storetest.Pool(t)
	s, health := storetest.New(t, db), healthy()
	server := httptest.NewServer(board.NewAt(board.Config{
		Store: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Version: "1.0.0",
		Server: func(context.Context) (store.ServerHealth, error) { return *health.Load(), nil },
		Caller: func(*http.Request) board.Caller { return board.Caller{Actor: store.Actor{Name: "ann"}} },
	}, now))
	t.Cleanup(server.Close)
	return desk{server.URL, s, db, health}
}

// report has a process with workers say how its breaker at the payment provider is, and what troubles it.
func (d desk) report(t *testing.T, breaker string, troubles ...store.Trouble) {
	t.Helper()
	require.NoError(t, d.store.Processes.Report(t.Context(), store.Process{
		ID: "web1", Version: "1.0.0", Role: "serve", StartedAt: time.Now(),
		ProcessReport: store.ProcessReport{
			Lanes: map[orders.Provider]store.LaneView{orders.Payment: {Breaker: breaker}}, Troubles: troubles,
		},
	}))
	// Otherwise a slow machine would make the process silent.
	d.exec(t, "UPDATE millrace.processes SET reported_at = now() + interval '1 hour'")
}
