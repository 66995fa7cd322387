package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

const (
	workerLives = `INSERT INTO millrace.instances (id, started_at, heartbeat_at, live_since, shut_queues, verify_every)
		VALUES ('worker-7', now(), now(), now() - interval '1 minute', '{}', '0'); `
	jobRuns = `UPDATE millrace.river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '20 seconds',
		attempted_by = '{worker-7}'; `
	// ownJob has authorize_payment wait in its provider's queue after three tries and an error.
	ownJob = `UPDATE millrace.river_job SET kind = 'authorize_payment', queue = 'payment', state = 'retryable',
		attempt = 2, args = args - 'steps' || '{"step": "authorize_payment", "generation": 1, "tries": 1}',
		attempted_at = now() - interval '1 second', attempted_by = '{worker-7}', scheduled_at = now() + interval '1 minute',
		errors = ARRAY['{"at": "2026-11-22T12:00:00Z", "attempt": 2, "error": "payment unavailable: status 503",
			"trace": ""}'::jsonb]; `
	ownJobReady = ownJob + `UPDATE millrace.river_job SET state = 'available', scheduled_at = now(); `
	shut        = `UPDATE millrace.instances SET shut_queues = '{payment}'; `
	laneHeld    = `INSERT INTO millrace.levers (kind, lane, reason, actor, began_at, ends_at)
		VALUES ('lane', 'payment', 'The bank is moving', 'ada', now(), now() + interval '2 hours'); `
	uiPaused = `INSERT INTO millrace.river_queue (name, created_at, updated_at, paused_at)
		VALUES ('payment', now(), now(), now()); `
	silent = `UPDATE millrace.instances SET heartbeat_at = now() - interval '20 seconds'; `
	other  = `INSERT INTO millrace.instances (id, started_at, heartbeat_at, live_since, shut_queues, verify_every)
		VALUES ('worker-8', now(), now(), now() - interval '1 minute', '{}', '0'); `
)

// Each reason for which a step may wait is told apart, with what happens next and when.
func TestExplainsWhy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		given  string
		want   api.ExplainedStep
		by     time.Duration // from now, less the slack of half a minute; 0: never
		says   string
		action string
	}{
		"NoWorker": {
			"", api.ExplainedStep{Why: "no_worker", Event: "attempt"}, 0, "no process with workers is alive", "millrace work",
		},
		"Carrier": {
			workerLives, api.ExplainedStep{Why: "carrier", Event: "attempt"}, time.Second, "waits for a process", "",
		},
		"Running": {
			workerLives + jobRuns,
			api.ExplainedStep{Why: "running", Event: "outcome", Process: "worker-7"},
			25 * time.Second, "process worker-7 has carried it out since", "",
		},
		"RunningForTooLong": {
			workerLives + jobRuns + `UPDATE millrace.river_job SET attempted_at = now() - interval '80 seconds'`,
			api.ExplainedStep{Why: "process_stuck", Event: "new_job", Process: "worker-7"},
			15 * time.Second, "too long", "",
		},
		"ProcessLost": {
			workerLives + jobRuns + silent + other,
			api.ExplainedStep{Why: "process_lost", Event: "new_job", Process: "worker-7"},
			time.Second, "fell silent", "",
		},
		"JobLost": {
			workerLives + "DELETE FROM millrace.river_job",
			api.ExplainedStep{Why: "job_lost", Event: "new_job"},
			25 * time.Second, "the sweep gives the order a new one", "",
		},
		"Backoff": {
			workerLives + ownJob,
			api.ExplainedStep{Why: "backoff", Event: "attempt", Attempts: new(3), LastError: "status_503"},
			time.Minute,
			"try 4 comes at", "",
		},
		"LaneFull": {
			workerLives + ownJobReady,
			api.ExplainedStep{Why: "queued", Event: "attempt", Attempts: new(3), LastError: "status_503"},
			time.Second,
			"waits for room", "",
		},
		"BreakerOpen": {
			workerLives + ownJobReady + shut,
			api.ExplainedStep{Why: "breaker_open", Event: "given_up", Attempts: new(3), LastError: "status_503"},
			time.Hour + 15*time.Minute + 60*time.Second, "the breaker at payment is open", "",
		},
		"BreakerOpenInOneProcess": {
			workerLives + ownJobReady + shut + other,
			api.ExplainedStep{Why: "queued", Event: "attempt", Attempts: new(3), LastError: "status_503"},
			time.Second, "", "",
		},
		"LanePaused": {
			workerLives + ownJob + shut + laneHeld,
			api.ExplainedStep{
				Why: "lane_paused", Event: "attempt", Attempts: new(3), LastError: "status_503",
				PauseReason: "The bank is moving",
			},
			2 * time.Hour, "an operator pauses the lane at payment until", "/api/system/lanes/payment/resume",
		},
		"QueuePaused": {
			workerLives + ownJob + laneHeld + uiPaused,
			api.ExplainedStep{Why: "queue_paused", Event: "attempt", Attempts: new(3), LastError: "status_503"},
			0,
			"paused in River UI", "/riverui/api/queues/payment/resume",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx := storetest.Tx(t)
			h := serve(t, tx)
			id := h.placeFor(t, ownCustomer)
			_, err := tx.Exec(t.Context(), tt.given, pgx.QueryExecModeSimpleProtocol)
			require.NoError(t, err)

			x := decode[api.Explanation](t, h.do(t, http.MethodGet, "/api/orders/"+id.String()+"/explain", ""))
			require.Len(t, x.Waits, 3)
			got := x.Waits[0]
			require.Equal(t, api.StepName(orders.AuthorizePayment), got.Step)
			require.WithinDuration(t, x.At.Add(time.Hour), got.DeadlineAt, time.Minute)
			require.Equal(t, tt.want.Why, got.Why)
			require.Equal(t, tt.want.Event, got.Event)
			require.Equal(t, tt.want.Process, got.Process)
			require.Equal(t, tt.want.LastError, got.LastError)
			require.Equal(t, tt.want.PauseReason, got.PauseReason)
			if tt.want.Attempts != nil {
				require.Equal(t, tt.want.Attempts, got.Attempts)
			}
			require.Equal(t, tt.by == 0, got.By == nil)
			if tt.by > 0 {
				require.WithinDuration(t, x.At.Add(tt.by+30*time.Second), *got.By, 25*time.Second) // a slow machine's
				require.NotNil(t, x.Next)
				require.False(t, x.Next.By.After(*got.By))
			}
			if strings.HasPrefix(string(got.Why), "no_") || got.By == nil || tt.by > time.Minute {
				require.Contains(t, x.Standing, tt.says, "the sentence is about the step that waits longest")
			}
			var calls []string
			for _, a := range x.Actions {
				calls = append(calls, a.Path+a.Command)
			}
			require.Contains(t, calls, "/api/orders/"+id.String()+"/cancel")
			if tt.action != "" {
				require.Contains(t, calls, tt.action)
			}
		})
	}
}

// idsAndTimes are left out of a text in which short words are looked for: an id may contain "ada", and a time 503.
var idsAndTimes = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d{2}-\d{2}T[\d:.]+Z`)

// A customer sees its own orders only, and nothing of the machinery.
func TestExplainForCustomers(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	own, others := h.placeFor(t, ownCustomer), h.placeFor(t, otherCustomer)
	_, err := h.pool.Exec(t.Context(), workerLives+ownJob+laneHeld, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	get := func(role roles.Role, id orders.ID) answer {
		return h.do(t, http.MethodGet, "/api/orders/"+id.String()+"/explain", "", "Authorization", "Bearer "+keys[role])
	}
	require.Equal(t, http.StatusNotFound, get(roles.Customer, others).status)
	require.Equal(t, http.StatusNotFound, get(roles.Operator, orders.NewID()).status)
	for _, role := range []roles.Role{roles.Customer, roles.Service} {
		answer := get(role, own)
		for _, internal := range []string{
			"worker-7", "bank", "ada", "lane", "status", "503", "settle", "system", "belongs", "queue", "process ",
		} {
			body := strings.ReplaceAll(answer.body, `"status":"pending"`, "")
			require.NotContains(t, idsAndTimes.ReplaceAllString(body, ""), internal, role)
		}
		x := decode[api.Explanation](t, answer)
		require.Len(t, x.Waits, 3)
		require.NotNil(t, x.Next)
		require.Len(t, x.Actions, 1)
		require.Equal(t, "/api/orders/"+own.String()+"/cancel", x.Actions[0].Path)
	}
	for _, role := range []roles.Role{roles.Admin, roles.Operator, roles.Viewer} {
		x := decode[api.Explanation](t, get(role, own))
		require.Equal(t, api.ExplainCause("lane_paused"), x.Waits[0].Why, role)
		require.NotNil(t, x.Belongs)
	}
}

// An operator sees what belongs to an order, and what may be done about one that cannot go on by itself.
func TestExplainWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	h := serve(t, tx)
	hook := decode[api.Webhook](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody))
	id := h.placeFor(t, ownCustomer)
	h.apply(t,
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded),
		storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded),
		storetest.Outcome(id, orders.VoidPayment, orders.StepRefused),
	)
	_, err := tx.Exec(t.Context(), `
		INSERT INTO millrace.webhook_deliveries (id, endpoint_id, event_type, order_id, version, body, state, attempts,
			give_up_at, next_attempt_at, created_at)
		VALUES ($2, $1, 'OrderCreated', $2, 1, '{}', 'pending', 2, 9, now(), now())`, hook.WebhookID, id)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `
		INSERT INTO millrace.webhook_attempts (endpoint_id, delivery_id, attempt, at, duration_ms, status, error, response)
		VALUES ($1, $2, 1, now(), 1, 0, 'no answer', ''), ($1, $2, 2, now(), 1, 503, 'status 503', '')`, hook.WebhookID, id)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `
		INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id, detail, state, first_seen_at,
			last_seen_at)
		VALUES ('payment', 'not_undone', $1::text || ':authorize_payment:1', $1::text, 'x', 'open', now(), now())`,
		id.String())
	require.NoError(t, err)
	require.NoError(t, h.store.Audit.Write(t.Context(), []store.AuditEntry{
		{Actor: store.Actor{Name: "ada"}, Action: "settleOrder", Target: id.String()},
		{Actor: store.Actor{Name: "ada"}, Action: "settleOrder", Target: orders.NewID().String()},
	}))

	x := decode[api.Explanation](t, h.do(t, http.MethodGet, "/api/orders/"+id.String()+"/explain", ""))
	require.Equal(t, api.OrderStatus(orders.NeedsAttention), x.Status)
	require.Contains(t, x.Standing, "an operator must decide: void_payment refused")
	require.Empty(t, x.Waits)
	require.Nil(t, x.Next)
	require.Equal(t, map[string]int64{"pending": 1}, x.Belongs.Webhooks)
	require.Len(t, x.Belongs.Messages, 1)
	message := x.Belongs.Messages[0]
	require.Equal(t, hook.WebhookID, message.WebhookID)
	require.Equal(t, "OrderCreated", message.Type)
	require.Equal(t, "pending", message.State)
	require.Equal(t, "status 503", message.Error, "of the latest attempt")
	require.NotNil(t, message.NextAttemptAt)
	require.Len(t, x.Belongs.Findings, 1)
	x.Belongs.Findings[0].FirstSeenAt = time.Time{}
	require.Equal(t, api.ExplainedFinding{
		Provider: "payment", Kind: "not_undone", Key: id.String() + ":authorize_payment:1", State: "open", Detail: "x",
	}, x.Belongs.Findings[0])
	require.Len(t, x.Belongs.Audit, 1)
	require.Equal(t, "ada", x.Belongs.Audit[0].Actor)
	require.Equal(t, "settleOrder", x.Belongs.Audit[0].Action)
	require.Empty(t, x.Belongs.Notifications)
	require.Empty(t, x.Belongs.RequestID, "no request placed it")
	require.NotEmpty(t, x.Actions)
	for _, call := range x.Actions { // each call does what it says, in a copy of the order
		require.Equal(t, "/api/orders/"+id.String()+"/settle", call.Path)
		nested, err := tx.Begin(t.Context())
		require.NoError(t, err)
		got := serve(t, nested).do(t, call.Method, call.Path, call.Body)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.NoError(t, nested.Rollback(t.Context()))
	}
}
