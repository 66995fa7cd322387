package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// In an outage of one provider any number of its steps wait, each with its job. A sweep looks at a bounded number of
// them, here all but some, and the next one goes on there; the steps of other providers, and those of processes that
// died, are found at once.
func TestSweepInAnOutage(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	s, err := store.New(store.Config{DB: pool, Now: func() time.Time { return time.Now().Add(time.Minute) }})
	require.NoError(t, err)
	exec := func(sql string) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	pending := func(step, from, to string) {
		t.Helper()
		exec(`INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request, reference, reason,
				started_at, deadline_at)
			SELECT md5(i::text)::uuid, '` + step + `', 1, 'pending', 0, '', '', '', now(), now() + i * interval '1 second'
			FROM generate_series(` + from + `, ` + to + `) i`)
	}
	pending("send_email", "1", "51000")
	exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'email', 'retryable'
		FROM order_steps`)
	pending("authorize_payment", "0", "0")  // without a job
	pending("send_email", "52000", "52000") // the last of all, without a job
	exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state, attempted_at, attempted_by) VALUES (
		jsonb_build_object('order_id', md5('51000')::uuid, 'step', 'send_email', 'generation', 1), 'send_email', 9, 'email',
		'running', now() - interval '20 seconds', '{dead}')`)
	exec(`DELETE FROM river_job WHERE state = 'retryable' AND args ->> 'order_id' = md5('51000')::uuid::text`)

	n, err := s.Steps.Recover(t.Context(), store.Instance{ID: "self"})
	require.NoError(t, err)
	require.Equal(t, 1, n, "what a process that died was doing")
	n, err = s.Steps.Sweep(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	job := func(step orders.StepName, i string) int {
		return count(t, pool, `SELECT count(*) FROM river_job WHERE state = 'available' AND kind = $1
			AND args ->> 'order_id' = md5($2)::uuid::text`, string(step), i)
	}
	require.Equal(t, 1, job(orders.AuthorizePayment, "0"), "another provider's step does not wait")
	require.Zero(t, job(orders.SendEmail, "52000"))
	n, err = s.Steps.Sweep(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, 1, n, "the second sweep goes on where the first one stopped")
	require.Equal(t, 1, job(orders.SendEmail, "52000"))
	require.Zero(t, count(t, pool, "SELECT count(*) FROM sweep_progress"), "the third one begins anew")
	n, err = s.Steps.Sweep(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Zero(t, n)
}

// Nothing that runs periodically may look at more rows the more of them wait for something else, whatever
// the planner believes: when an outage begins, its statistics are those of empty tables.
func TestSweepReadsByKey(t *testing.T) {
	t.Parallel()
	const n = 5000
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	_, err := tx.Exec(t.Context(), `INSERT INTO order_steps (order_id, step, generation, state, amount_minor, request,
			reference, reason, started_at, deadline_at)
		SELECT md5(i::text)::uuid, 'send_email', 1, 'pending', 0, '', '', '', now() - interval '1 hour', now()
		FROM generate_series(1, $1::int) i`, n)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `INSERT INTO river_job (args, kind, max_attempts, queue, state, attempted_at,
			attempted_by)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'email',
			(CASE WHEN row_number() OVER () <= 100 THEN 'running' ELSE 'retryable' END)::river_job_state,
			now() - interval '20 seconds', '{dead}'
		FROM order_steps`)
	require.NoError(t, err)
	const read = `SELECT sum(r.n) FROM (
			SELECT pg_stat_get_xact_tuples_returned(i.indexrelid) AS n FROM pg_index i
			WHERE i.indrelid IN ('order_steps'::regclass, 'river_job'::regclass)
			UNION ALL SELECT pg_stat_get_xact_tuples_returned('order_steps'::regclass)
			UNION ALL SELECT pg_stat_get_xact_tuples_returned('river_job'::regclass)
		) r`
	for _, statistics := range []string{"of an empty table", "new"} {
		if statistics == "new" {
			_, err := tx.Exec(t.Context(), "ANALYZE order_steps; ANALYZE river_job")
			require.NoError(t, err)
		}
		for name, do := range map[string]func() error{
			"Sweep":   func() error { _, err := s.Steps.Sweep(t.Context(), time.Minute); return err },
			"Recover": func() error { _, err := s.Steps.Recover(t.Context(), store.Instance{ID: "self"}); return err },
			"Queues":  func() error { _, err := s.Queues.List(t.Context()); return err },
		} {
			before := count(t, tx, read)
			require.NoError(t, do(), name)
			require.LessOrEqual(t, count(t, tx, read)-before, 5*n, "%s, statistics: %s", name, statistics)
		}
	}
}

// Work is as old as its step, also while its job waits to be tried again.
func TestOldestWork(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	now := time.Now().Add(-time.Hour)
	s, err := store.New(store.Config{DB: tx, Now: func() time.Time { return now }})
	require.NoError(t, err)
	storetest.Order(t, s)
	_, err = tx.Exec(t.Context(), "UPDATE river_job SET state = 'retryable', scheduled_at = now() + interval '1 minute'")
	require.NoError(t, err)
	queues, err := s.Queues.List(t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 3, "a step of each provider")
	for _, q := range queues {
		require.WithinDuration(t, now, q.OldestAt, time.Millisecond, q.Name)
		require.True(t, q.ReadyAt.IsZero(), "nothing is ready")
		require.EqualValues(t, 1, q.Retryable)
	}
}
