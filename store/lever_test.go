package store_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// follower is a Holds with a clock that can be set ahead.
func follower(log *bytes.Buffer) (h *store.Holds, ahead *atomic.Int64, registry *prometheus.Registry) {
	ahead, registry = new(atomic.Int64), prometheus.NewRegistry()
	return store.NewHolds(store.HoldsConfig{
		Now:    func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry,
	}), ahead, registry
}

// A lever holds in every process that follows it, until it is let go, and each pull is in the audit log.
func TestLevers(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	log := new(bytes.Buffer)
	holds, _, registry := follower(log)
	by := store.Actor{Name: "ada", Role: roles.Operator, RequestID: "r"}
	hold, err := s.Levers.PauseLane(t.Context(), orders.Payment, store.NewHold{Reason: "The bank is moving"}, by)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(store.DefaultHold), hold.Until, time.Minute)
	require.False(t, holds.Paused(orders.Payment), "not followed yet")

	require.NoError(t, holds.Follow(t.Context(), s.Levers))
	require.True(t, holds.Paused(orders.Payment))
	require.False(t, holds.Paused(orders.Email))
	got, _ := holds.Lane(orders.Payment)
	require.Equal(t, hold, got)
	_, stopped := holds.Intake()
	require.False(t, stopped)

	// Again, with another reason and another end; and the intake, which is not a lane.
	longer := store.NewHold{Reason: "It takes longer", Until: time.Now().Add(3 * time.Hour)}
	_, err = s.Levers.PauseLane(t.Context(), orders.Payment, longer, by)
	require.NoError(t, err)
	_, err = s.Levers.StopIntake(t.Context(), store.NewHold{Reason: "Back at noon"}, by)
	require.NoError(t, err)
	require.NoError(t, holds.Follow(t.Context(), s.Levers))
	got, _ = holds.Lane(orders.Payment)
	require.Equal(t, "It takes longer", got.Reason)
	got, stopped = holds.Intake()
	require.True(t, stopped)
	require.Equal(t, store.Hold{Reason: "Back at noon", Actor: "ada", Since: got.Since, Until: got.Until}, got)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP millrace_intake_stopped 1 while an operator stops the intake.
# TYPE millrace_intake_stopped gauge
millrace_intake_stopped 1
# HELP millrace_lane_paused 1 while an operator pauses the lane.
# TYPE millrace_lane_paused gauge
millrace_lane_paused{lane="email"} 0
millrace_lane_paused{lane="inventory"} 0
millrace_lane_paused{lane="payment"} 1
millrace_lane_paused{lane="shipping"} 0
`)))

	for range 2 { // the second time nothing holds
		require.NoError(t, s.Levers.ResumeLane(t.Context(), orders.Payment, by))
		require.NoError(t, s.Levers.StartIntake(t.Context(), by))
	}
	require.NoError(t, holds.Follow(t.Context(), s.Levers))
	require.False(t, holds.Paused(orders.Payment))
	_, stopped = holds.Intake()
	require.False(t, stopped)
	require.Equal(t, 3, strings.Count(log.String(), "lever pulled by an operator"), log.String())
	require.Equal(t, 2, strings.Count(log.String(), `msg="lever let go"`), log.String())
	require.NotContains(t, log.String(), "ada", "an actor may be a person")

	entries, err := s.Audit.List(t.Context(), 10)
	require.NoError(t, err)
	var actions []string
	for _, e := range entries {
		actions = append(actions, strings.TrimSpace(e.Action+" "+e.Target))
		require.Equal(t, by, e.Actor)
	}
	require.Equal(t, []string{
		"intake.start", "lanes.resume payment", "intake.start", "lanes.resume payment", "intake.stop", "lanes.pause payment",
		"lanes.pause payment",
	}, actions)
	require.Equal(t, "The bank is moving", entries[6].Detail["reason"])
}

// A lever ends by itself: at once where it is known, also if the database does not answer, and in the database.
func TestLeversExpire(t *testing.T) {
	t.Parallel()
	db := storetest.Tx(t)
	s := storetest.New(t, db)
	log := new(bytes.Buffer)
	holds, ahead, _ := follower(log)
	for _, lane := range []orders.Provider{orders.Payment, orders.Email} {
		until := time.Now().Add(time.Hour)
		if lane == orders.Email {
			until = until.Add(time.Hour)
		}
		_, err := s.Levers.PauseLane(t.Context(), lane, store.NewHold{Reason: "r", Until: until}, store.Actor{Name: "a"})
		require.NoError(t, err)
	}
	require.NoError(t, holds.Follow(t.Context(), s.Levers))
	ahead.Store(int64(61 * time.Minute))
	require.False(t, holds.Paused(orders.Payment))
	require.True(t, holds.Paused(orders.Email))

	_, err := db.Exec(t.Context(), `UPDATE levers SET began_at = began_at - interval '1 day', ends_at = now()
		WHERE lane = 'payment'`)
	require.NoError(t, err)
	held, err := s.Levers.Read(t.Context())
	require.NoError(t, err)
	require.NotContains(t, held.Lanes, orders.Payment)
	require.Contains(t, held.Lanes, orders.Email)
	require.NoError(t, holds.Follow(t.Context(), s.Levers))
	require.Contains(t, log.String(), `msg="lever let go" lever="lane payment" expired=true`)
}

// What an operator says of a lever is bounded.
func TestLeversRefuse(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	for name, tt := range map[string]struct {
		request store.NewHold
		field   string
	}{
		"NoReason":     {store.NewHold{}, "reason"},
		"BlankReason":  {store.NewHold{Reason: "  "}, "reason"},
		"TwoLines":     {store.NewHold{Reason: "a\nb"}, "reason"},
		"LongReason":   {store.NewHold{Reason: strings.Repeat("é", 201)}, "reason"},
		"Past":         {store.NewHold{Reason: "r", Until: time.Now().Add(-time.Second)}, "until"},
		"FarAhead":     {store.NewHold{Reason: "r", Until: time.Now().Add(store.LongestHold + time.Minute)}, "until"},
		"BeyondAClock": {store.NewHold{Reason: "r", Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "until"},
	} {
		_, err := s.Levers.StopIntake(t.Context(), tt.request, store.Actor{Name: "a"})
		var invalid *orders.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		require.Equal(t, tt.field, invalid.Fields[0].Field, name)
	}
	held, err := s.Levers.Read(t.Context())
	require.NoError(t, err)
	require.Nil(t, held.Intake)
}

// Without a reading no lever holds, and a process that has no Holds has none to ask.
func TestNoHolds(t *testing.T) {
	t.Parallel()
	var none *store.Holds
	require.False(t, none.Paused(orders.Payment))
	_, stopped := none.Intake()
	require.False(t, stopped)
}
