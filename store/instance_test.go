package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// Jobs that run only by River's account are given to others, and no others are.
func TestRecover(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// Who ran the job and for how long, and whose heartbeats there are and how old.
		attemptedBy, since string
		beats              map[string]string
		active             bool
		want               int
	}{
		"Killed":       {"{dead}", "11 seconds", map[string]string{"self": "0", "dead": "11 seconds"}, false, 1},
		"LeftNoTrace":  {"{dead}", "11 seconds", map[string]string{"self": "0"}, false, 1},
		"Alive":        {"{other}", "40 seconds", map[string]string{"self": "0", "other": "8 seconds"}, false, 0},
		"JustFetched":  {"{dead}", "2 seconds", map[string]string{"self": "0"}, false, 0},
		"TakenOver":    {"{dead,other}", "11 seconds", map[string]string{"self": "0", "other": "0"}, false, 0},
		"DiedLast":     {"{other,dead}", "11 seconds", map[string]string{"self": "0", "other": "0"}, false, 1},
		"Mine":         {"{self}", "11 seconds", map[string]string{"self": "0"}, true, 0},
		"FetchWasLost": {"{self}", "11 seconds", map[string]string{"self": "0"}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := hold(t, storetest.Pool(t)) // in which the database's clock stands still
			now := time.Now()
			s, err := store.New(store.Config{DB: db, Now: func() time.Time { return now }})
			require.NoError(t, err)
			storetest.Order(t, s)
			now = now.Add(time.Minute)
			var job int64
			require.NoError(t, db.QueryRow(t.Context(), `UPDATE river_job SET state = 'running', attempted_by = $1,
				attempted_at = now() - $2::interval RETURNING id`,
				tt.attemptedBy, tt.since).Scan(&job))
			for id, age := range tt.beats {
				require.NoError(t, s.Instances.Beat(t.Context(), id))
				_, err := db.Exec(t.Context(), `UPDATE instances SET heartbeat_at = now() - $2::interval WHERE id = $1`, id, age)
				require.NoError(t, err)
			}
			self := store.Instance{ID: "self"}
			if tt.active {
				self.Active = []int64{job}
			}
			n, err := s.Steps.Recover(t.Context(), self)
			require.NoError(t, err)
			require.Equal(t, 3*tt.want, n, "its steps")
			require.Equal(t, tt.want, count(t, db, `SELECT count(*) FROM river_job
				WHERE kind = 'carry_order' AND state = 'available'`))
			n, err = s.Steps.Recover(t.Context(), self)
			require.NoError(t, err)
			require.Zero(t, n, "the new job counts")
		})
	}
}

// TestRecoverAgain: what a dead process was doing is given away once, however long River's row says that it runs.
func TestRecoverAgain(t *testing.T) {
	t.Parallel()
	s := newSwept(t)
	recovered := func() int {
		t.Helper()
		n, err := s.store.Steps.Recover(t.Context(), store.Instance{ID: "self"})
		require.NoError(t, err)
		return n
	}
	s.exec(`UPDATE river_job SET state = 'running', attempted_by = '{dead}', attempted_at = now() - interval '11 seconds'`)
	require.Equal(t, 3, recovered())
	// The new job settles one step, hands the others over, and one of these is lost again.
	s.exec(`UPDATE river_job SET state = 'completed', finalized_at = now() WHERE state = 'available';
		UPDATE order_steps SET state = 'succeeded', settled_at = now() WHERE step = 'reserve_inventory';
		INSERT INTO river_job (args, kind, max_attempts, queue, state)
		SELECT jsonb_build_object('order_id', order_id, 'step', step, 'generation', 1), step, 9, 'x', 'scheduled'
		FROM order_steps WHERE state = 'pending'`)
	require.Zero(t, recovered(), "the steps have jobs of their own")
	s.exec(`UPDATE river_job SET state = 'running', attempted_by = '{dead}', attempted_at = now() - interval '11 seconds'
		WHERE kind = 'quote_shipping'`)
	require.Equal(t, 1, recovered())
	require.Equal(t, 1, count(t, s.pool, `SELECT count(*) FROM river_job WHERE state = 'available'
		AND args -> 'steps' = '["quote_shipping:1"]'`), "the new job names the step: the lost one's row still has it")
	require.Zero(t, recovered())
	s.exec(`UPDATE river_job SET state = 'completed', finalized_at = now() WHERE state = 'available';
		UPDATE order_steps SET state = 'succeeded', settled_at = now() WHERE state = 'pending'`)
	require.Zero(t, recovered(), "nothing is pending")
}

func TestInstances(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t) // in which the database's clock stands still
	s := storetest.New(t, db)
	for _, id := range []string{"a", "b", "b", "c", "d"} {
		require.NoError(t, s.Instances.Beat(t.Context(), id))
	}
	require.NoError(t, s.Instances.Leave(t.Context(), "c"))
	_, err := db.Exec(t.Context(), `UPDATE instances SET heartbeat_at = now() - interval '1 minute' WHERE id = 'b';
		UPDATE instances SET heartbeat_at = now() - interval '2 hours' WHERE id = 'd'`)
	require.NoError(t, err)
	require.NoError(t, s.Instances.Beat(t.Context(), "a"))
	live, silent, err := s.Instances.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1}, []int64{live, silent}, "those of long ago are forgotten")
}

// A heartbeat says how often the process sweeps when it leads: explanations go by it.
func TestHeartbeatsSaySweep(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s, err := store.New(store.Config{DB: tx, SweepEvery: 42 * time.Second})
	require.NoError(t, err)
	o := storetest.Order(t, s)
	require.NoError(t, s.Instances.Beat(t.Context(), "worker-sweeping"))
	e, err := s.Orders.Evidence(t.Context(), o.ID)
	require.NoError(t, err)
	i := slices.IndexFunc(e.Workers, func(w store.Worker) bool { return w.ID == "worker-sweeping" })
	require.Equal(t, 42*time.Second, e.Workers[i].SweepEvery)
}
