package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestHeartbeatsSeeLeader has a process note since when no living process leads. A stranger that leads does not count,
// nor does a process that has died.
func TestHeartbeatsSeeLeader(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	exec := func(sql string) {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	unled := func() bool {
		require.NoError(t, s.Instances.Beat(t.Context(), "a"))
		return count(t, pool, "SELECT count(*) FROM instances WHERE id = 'a' AND unled_since IS NOT NULL") == 1
	}
	lead := func(id string) {
		exec(`DELETE FROM river_leader; INSERT INTO river_leader (elected_at, expires_at, leader_id, name)
			VALUES (now(), now() + interval '1 day', '` + id + `', 'default')`)
	}
	require.True(t, unled())
	exec("UPDATE instances SET unled_since = now() - interval '20 seconds'")
	require.True(t, unled())
	require.Equal(t, 1, count(t, pool, "SELECT count(*) FROM instances WHERE unled_since < now() - interval '19 seconds'"),
		"since the first of them")
	lead("a")
	require.False(t, unled())
	lead("stranger")
	require.True(t, unled())
	require.NoError(t, s.Instances.Beat(t.Context(), "b"))
	lead("b")
	require.False(t, unled())
	exec("UPDATE instances SET heartbeat_at = now() - interval '11 seconds' WHERE id = 'b'")
	require.True(t, unled(), "b has died")

	exec(`UPDATE instances SET live_since = now() - interval '1 hour', unled_since = now() - interval '1 hour',
		heartbeat_at = now() - interval '30 minutes' WHERE id = 'a'`)
	require.True(t, unled())
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM instances WHERE id = 'a' AND live_since = heartbeat_at
		AND unled_since = heartbeat_at`), "after an outage all begins anew")
}

// TestStanding shows what no verification has to run for in place of what the latest one found of it.
func TestStanding(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	standing := func() []string {
		v, err := d.store.Verifier.Standing(t.Context())
		require.NoError(t, err)
		return checks(v)
	}
	require.Empty(t, standing())
	d.exec(t, `UPDATE verification SET violations = '[{"check":"guards","count":1},{"check":"leader","count":1}]'`)
	require.Equal(t, []string{"guards"}, standing())
	d.exec(t, "UPDATE verification SET started_at = now() - interval '1 hour'")
	require.Equal(t, []string{"verification", "guards"}, standing())
	v, err := d.store.Verifier.Verify(t.Context(), store.VerifyOptions{Periodic: true})
	require.NoError(t, err)
	require.Empty(t, v.Violations, "it is itself what was missing")
	d.exec(t, "DELETE FROM verification")
	require.Equal(t, []string{"verification"}, standing())
}

// TestUpkeepIsNoted runs the upkeep as a role without the rights that it takes, and then as the owner.
func TestUpkeepIsNoted(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	owner, err := store.NewPool(t.Context(), url, "test", 2)
	require.NoError(t, err)
	t.Cleanup(owner.Close)
	role := storetest.NewRole(t, "")
	_, err = owner.Exec(t.Context(), fmt.Sprintf(`GRANT USAGE ON SCHEMA millrace TO %[1]s;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA millrace TO %[1]s`, role))
	require.NoError(t, err)
	pool, err := store.NewPool(t.Context(), storetest.As(url, role), "test", 2)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := storetest.New(t, owner)
	details := func() string {
		v, err := s.Verifier.Vigil(t.Context())
		require.NoError(t, err)
		for _, found := range v {
			if found.Check == "log_upkeep" {
				return strings.Join(found.Details, " ")
			}
		}
		return ""
	}
	_, err = storetest.New(t, pool).Log.Maintain(t.Context(), time.Hour*24*30)
	require.ErrorContains(t, err, "permission denied")
	require.Contains(t, details(), "permission denied")
	at, err := s.Log.Upkept(t.Context())
	require.NoError(t, err)
	require.Zero(t, at)

	_, err = s.Log.Maintain(t.Context(), time.Hour*24*30)
	require.NoError(t, err)
	require.Empty(t, details())
	at, err = s.Log.Upkept(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)

	// A lock that others hold is not the upkeep's fault, so at first nothing is reported.
	tx, err := owner.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE millrace.order_events IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	_, err = s.Log.Maintain(t.Context(), time.Hour)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Empty(t, details())
	require.Equal(t, 1, count(t, owner, "SELECT count(*) FROM millrace.log_upkeep WHERE passing AND error <> ''"))
}

// TestVerifySlots makes a replication slot that nothing uses. The limits are lower than by default.
func TestVerifySlots(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	verify := func(limits store.Limits) string {
		v, err := s.Verifier.Verify(t.Context(), store.VerifyOptions{Limits: limits, Skip: []string{"leader"}})
		require.NoError(t, err)
		if len(v.Violations) == 0 {
			return ""
		}
		require.Equal(t, []string{"replication_slots"}, checks(v))
		return strings.Join(v.Violations[0].Details, " ")
	}
	_, err := pool.Exec(t.Context(), "SELECT pg_create_physical_replication_slot('forgotten', true)")
	require.NoError(t, err)
	defer func() { _, _ = pool.Exec(t.Context(), "SELECT pg_drop_replication_slot('forgotten')") }()
	storetest.Order(t, s)
	require.Contains(t, verify(store.Limits{SlotWAL: 1}), "forgotten (not in use) keeps")
	require.Empty(t, verify(store.Limits{}), "a standby may be away for a while")
	require.Empty(t, verify(store.Limits{UnusedSlotWAL: 1}), "it was used, or made, just now")
}

// TestVerifyVigil plants what keeps periodic work from running, and what only looks like that after a start, an
// election or an outage.
func TestVerifyVigil(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sql string
		check     string // none: silence
	}{
		{
			"NoLeader", `UPDATE river_leader SET expires_at = now() - interval '1 second';
				UPDATE instances SET unled_since = now() - interval '31 seconds'`,
			"leader",
		},
		{
			"LeaderIsBeingElected", `UPDATE river_leader SET expires_at = now() - interval '1 second';
				UPDATE instances SET unled_since = now() - interval '20 seconds'`,
			"",
		},
		{
			"StrangerLeads", `UPDATE river_leader SET leader_id = 'stranger';
				UPDATE instances SET unled_since = now() - interval '31 seconds'`,
			"leader",
		},
		{
			"WithoutWorkers", "DELETE FROM instances; DELETE FROM river_leader",
			"leader",
		},
		{
			"VerificationIsOld", "UPDATE verification SET started_at = now() - interval '301 seconds'",
			"verification",
		},
		{
			"NoVerification", "DELETE FROM verification",
			"verification",
		},
		{
			"VerificationIsOldAfterAStart", `UPDATE verification SET started_at = now() - interval '1 day';
				UPDATE instances SET live_since = now() - interval '4 minutes'`,
			"",
		},
		{
			"VerificationIsRare", `UPDATE verification SET started_at = now() - interval '4 hours';
				UPDATE instances SET verify_every = '1 hour'`,
			"",
		},
		{
			"VerificationIsOff", `UPDATE verification SET started_at = now() - interval '4 hours';
				UPDATE instances SET verify_every = '0'`,
			"",
		},
		{
			"UpkeepFails", "UPDATE log_upkeep SET failing_since = now(), error = 'permission denied'",
			"log_upkeep",
		},
		{
			"UpkeepWaitsForALock", `UPDATE log_upkeep SET failing_since = now() - interval '1 hour', error = 'lock',
				passing = true`,
			"",
		},
		{
			"UpkeepNeverGetsItsLock", `UPDATE log_upkeep SET failing_since = now() - interval '3 hours', error = 'lock',
				passing = true`,
			"log_upkeep",
		},
		{
			"UpkeepIsOverdue", "UPDATE log_upkeep SET succeeded_at = now() - interval '3 hours'",
			"log_upkeep",
		},
		{
			"UpkeepIsOverdueAfterAStart", `UPDATE log_upkeep SET succeeded_at = now() - interval '1 day';
				UPDATE instances SET live_since = now() - interval '2 hours'`,
			"",
		},
		{
			"NoPartitions", `DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM log_partitions() LOOP
				EXECUTE format('ALTER TABLE order_events DETACH PARTITION %I', p);
				EXECUTE format('INSERT INTO order_events OVERRIDING SYSTEM VALUE SELECT * FROM %I', p); END LOOP; END $$`,
			"log_upkeep",
		},
		{
			"LaterRelease", "INSERT INTO schema_version (version_id, is_applied) VALUES (1001, true)",
			"schema",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t)
			d.exec(t, tt.sql)
			var want []string
			if tt.check != "" {
				want = []string{tt.check}
			}
			require.Equal(t, want, checks(d.verify(t, false)))
			now, err := d.store.Verifier.Vigil(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, checks(store.Verification{Violations: now}))
		})
	}
}
