package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestHistory takes samples through two hours of a clock that is passed in, and reads them at each resolution.
func TestHistory(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	storetest.Order(t, s)
	require.NoError(t, s.Processes.Report(t.Context(), store.Process{
		ID: "a", Version: "1.0.0", Role: "serve", StartedAt: time.Now(),
		ProcessReport: store.ProcessReport{Lanes: map[orders.Provider]store.LaneView{
			orders.Payment: {Breaker: "open", InFlight: 2, P95: 250 * time.Millisecond},
		}},
	}))

	begin := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for at := begin; !at.After(begin.Add(2 * time.Hour)); at = at.Add(10 * time.Second) {
		if at.Sub(begin) >= 30*time.Minute && at.Sub(begin) < 35*time.Minute {
			continue // nothing ran
		}
		due, err := s.History.Due(t.Context(), "a", at)
		require.NoError(t, err)
		if !due { // no process leads, and the latest sample is young
			exec(t, tx, `INSERT INTO river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + '1 day', 'a')
				ON CONFLICT DO NOTHING`)
		}
		require.NoError(t, s.History.Take(t.Context(), at.Add(time.Second), store.Heard{
			Placed: 2, Completed: 1, DurationP95Seconds: float64(at.Minute()),
		}))
	}
	read := func(r store.Resolution) []store.Sample {
		samples, err := s.History.Read(t.Context(), r, time.Time{}, begin.Add(24*time.Hour), 2000)
		require.NoError(t, err)
		return samples
	}
	tens, minutes, hours := read(store.TenSeconds), read(store.Minute), read(store.Hour)
	require.Equal(t, 721-30, len(tens)) //nolint:testifylint // Len prints them all
	require.Equal(t, begin.Add(-10*time.Second), tens[0].At, "the span before the moment")
	require.Equal(t, int64(1), tens[0].Pending)
	require.Equal(t, store.LaneSample{Backlog: 1, InFlight: 2, P95Seconds: .25, Open: true, OldestAgeSeconds: 0},
		withoutAge(tens[0].Lanes[orders.Payment]))
	require.Equal(t, 1, tens[0].Processes)

	require.Equal(t, 1+120-4, len(minutes), "four minutes have no sample") //nolint:testifylint // Len prints them all
	require.Equal(t, begin, minutes[1].At)
	require.Equal(t, int64(12), minutes[1].Placed, "six samples of two")
	require.InDelta(t, 1, minutes[1].DurationP95Seconds, 0, "the highest")
	require.Equal(t, int64(1), minutes[1].Pending, "a level is not added up")
	require.True(t, minutes[1].Lanes[orders.Payment].Open)

	require.Len(t, hours, 1+2)
	require.Equal(t, begin, hours[1].At)
	require.Equal(t, int64(2*(360-30)), hours[1].Placed)
	require.Equal(t, int64(2*360), hours[2].Placed)

	latest, err := s.History.Read(t.Context(), store.TenSeconds, time.Time{}, begin.Add(time.Hour), 2)
	require.NoError(t, err)
	require.Len(t, latest, 2)
	require.Equal(t, begin.Add(time.Hour-10*time.Second), latest[1].At)
}

func withoutAge(lane store.LaneSample) store.LaneSample {
	lane.OldestAgeSeconds = 0
	return lane
}

// TestHistoryTurns has the leader take the samples, and any process if the leader does not.
func TestHistoryTurns(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	now := time.Date(2026, 11, 28, 3, 0, 1, 0, time.UTC)
	due := func(self string, at time.Time) bool {
		due, err := s.History.Due(t.Context(), self, at)
		require.NoError(t, err)
		return due
	}
	exec(t, tx, `INSERT INTO river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + '1 day', 'leader')`)
	require.True(t, due("other", now), "there is no sample at all")
	require.NoError(t, s.History.Take(t.Context(), now, store.Heard{Placed: 1}))
	require.False(t, due("leader", now), "it is taken")
	require.NoError(t, s.History.Take(t.Context(), now, store.Heard{Placed: 5}), "twice is harmless")
	samples, err := s.History.Read(t.Context(), store.TenSeconds, time.Time{}, now, 10)
	require.NoError(t, err)
	require.Len(t, samples, 1)
	require.Equal(t, int64(1), samples[0].Placed)

	require.True(t, due("leader", now.Add(10*time.Second)))
	require.False(t, due("other", now.Add(10*time.Second)))
	require.True(t, due("other", now.Add(30*time.Second)), "the leader has taken none for a while")
}

// TestHistoryIsBounded lets a year of samples be too old.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	now := time.Date(2026, 11, 28, 3, 0, 1, 0, time.UTC)
	for seconds, span := range map[int]string{10: "1 day", 60: "10 days", 3600: "365 days"} {
		exec(t, tx, `INSERT INTO history_samples (resolution, at, sample)
			SELECT $1, at, '{}' FROM generate_series($2::timestamptz - $3::interval, $2, make_interval(secs => $1)) AS at`,
			seconds, now.Truncate(time.Hour), span)
	}
	exec(t, tx, `INSERT INTO version_marks (at, version)
		SELECT $1::timestamptz - make_interval(mins => n), 'v' || n FROM generate_series(1, 2000) AS n`, now)
	require.NoError(t, s.History.Take(t.Context(), now, store.Heard{}))
	require.Equal(t, 3*360+2*24*60+90*24, count(t, tx, "SELECT count(*) FROM history_samples"))
	require.Equal(t, 1000, count(t, tx, "SELECT count(*) FROM version_marks"))
}

// TestProcesses lists what processes report, and marks the versions.
func TestProcesses(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	report := func(id, version string) {
		require.NoError(t, s.Processes.Report(t.Context(), store.Process{
			ID: id, Version: version, Role: "work", StartedAt: time.Now(),
			ProcessReport: store.ProcessReport{Running: map[string]int{"payment": 3}},
		}))
	}
	marks := func() (versions []string) {
		list, err := s.Processes.Versions(t.Context(), time.Time{}, 100)
		require.NoError(t, err)
		for _, mark := range list {
			versions = append(versions, mark.Version)
		}
		return versions
	}
	report("a", "1.0.0")
	report("b", "1.0.0")
	report("a", "1.0.0")
	require.Equal(t, []string{"1.0.0"}, marks())
	report("c", "1.1.0") // a rolling update begins
	report("b", "1.0.0")
	require.Equal(t, []string{"1.0.0", "1.1.0"}, marks())
	exec(t, pool, `UPDATE processes SET reported_at = now() - '11 s'::interval WHERE version = '1.0.0'`)
	report("a", "1.0.0") // and is taken back
	require.Equal(t, []string{"1.0.0", "1.1.0", "1.0.0"}, marks())

	exec(t, pool, `INSERT INTO river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + '1 day', 'a')`)
	list, _, err := s.Processes.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, "a", list[0].ID)
	require.True(t, list[0].Live)
	require.True(t, list[0].Leads)
	require.Equal(t, map[string]int{"payment": 3}, list[0].Running)
	require.False(t, list[1].Live, "b has been silent")

	exec(t, pool, `UPDATE processes SET reported_at = now() - '2 h'::interval WHERE id = 'b'`)
	report("a", "1.0.0")
	require.NoError(t, s.Processes.Leave(t.Context(), "c"))
	require.Equal(t, 1, count(t, pool, "SELECT count(*) FROM processes"))
}

func exec(t *testing.T, db store.DB, sql string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}
