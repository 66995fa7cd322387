package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/dbsqlc"
	"github.com/millrace-orders/millrace/store/storetest"
)

// clocks are those of a machine and of its database. Time passes only when a test says so.
type clocks struct {
	dbsqlc.DBTX // nil: Read asks for the time and for nothing else
	t           *testing.T
	wall        time.Time
	elapsed     time.Duration
	database    time.Time
	there, back time.Duration // how long a question and its answer are under way
	down        bool
	log         bytes.Buffer
	registry    *prometheus.Registry
	clock       *store.Clock
}

func newClocks(t *testing.T) *clocks {
	t.Helper()
	began := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	c := &clocks{t: t, wall: began, database: began, elapsed: time.Hour, registry: prometheus.NewRegistry()}
	c.clock = store.NewClock(store.ClockConfig{
		Wall: func() time.Time { return c.wall }, Elapsed: func() time.Duration { return c.elapsed },
		Logger: slog.New(slog.NewTextHandler(&c.log, nil)), Registerer: c.registry,
	})
	return c
}

func (c *clocks) pass(d time.Duration) {
	c.wall, c.database, c.elapsed = c.wall.Add(d), c.database.Add(d), c.elapsed+d
}

func (c *clocks) QueryRow(context.Context, string, ...any) pgx.Row { return c }

func (c *clocks) Scan(to ...any) error {
	if c.down {
		return errors.New("it does not answer")
	}
	c.pass(c.there)
	*to[0].(*time.Time) = c.database
	c.pass(c.back)
	return nil
}

func (c *clocks) read() { require.NoError(c.t, c.clock.Read(c.t.Context(), c)) }

// run reads once a second.
func (c *clocks) run(d time.Duration) {
	for range d / time.Second {
		before := c.clock.Now()
		c.pass(time.Second)
		c.read()
		require.True(c.t, c.clock.Now().After(before), "it does not run backwards")
	}
}

// off is how far the clock is ahead of the database's.
func (c *clocks) off() time.Duration { return c.clock.Now().Sub(c.database) }

func TestClock(t *testing.T) {
	t.Parallel()

	t.Run("WallClockJumps", func(t *testing.T) {
		t.Parallel()
		for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour, 90 * time.Second} {
			c := newClocks(t)
			c.read()
			c.wall = c.wall.Add(jump)
			require.Zero(t, c.off())
			c.run(time.Minute)
			require.Zero(t, c.off())
			require.Equal(t, jump, c.clock.Skew())
			families, err := c.registry.Gather()
			require.NoError(t, err)
			require.Equal(t, "millrace_clock_skew_seconds", families[0].GetName())
			require.InDelta(t, jump.Seconds(), families[0].GetMetric()[0].GetGauge().GetValue(), 1e-6)
			require.Empty(t, c.log.String())
		}
	})

	t.Run("WallClockDiffersFromTheStart", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.wall = c.wall.Add(1500 * time.Millisecond)
		c.read()
		require.Zero(t, c.off())
	})

	t.Run("Outage", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.read()
		c.down = true
		for range 10 {
			c.pass(time.Hour)
			require.Error(t, c.clock.Read(t.Context(), c))
		}
		c.wall = c.wall.Add(2 * time.Hour)
		require.Zero(t, c.off())
		c.down = false
		c.run(time.Minute)
		require.Zero(t, c.off())
	})

	t.Run("SlowRoundTrips", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.there, c.back = 3*time.Millisecond, time.Millisecond
		c.read()
		require.Equal(t, time.Millisecond, c.off().Abs(), "half of what is not known")
		for _, c.there = range []time.Duration{time.Second, 0, 3 * time.Second, 0} {
			c.back = 1500*time.Millisecond - c.there/2
			c.run(20 * time.Second)
			require.LessOrEqual(t, c.off().Abs(), time.Millisecond)
		}
	})

	t.Run("Drift", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.read()
		for range 600 {
			c.elapsed += 200 * time.Microsecond
			c.run(time.Second)
			require.LessOrEqual(t, c.off().Abs(), time.Millisecond)
		}
		c.database = c.database.Add(-1500 * time.Millisecond)
		c.run(time.Second)
		require.Greater(t, c.off(), time.Second, "not at once")
		c.run(20 * time.Second)
		require.LessOrEqual(t, c.off().Abs(), time.Millisecond)
		require.Empty(t, c.log.String())
	})

	t.Run("DatabaseJumpsAndComesBack", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.read()
		for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour, 3 * time.Second} {
			c.log.Reset()
			c.database = c.database.Add(jump)
			c.run(10 * time.Second)
			require.Equal(t, -jump, c.off())
			require.Equal(t, jump, -c.clock.Skew())
			c.database = c.database.Add(-jump)
			c.run(time.Minute)
			require.Zero(t, c.off())
			require.Equal(t, 1, strings.Count(c.log.String(), "WARN"))
		}
	})

	t.Run("DatabaseJumpsAndStays", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.read()
		c.database = c.database.Add(2 * time.Hour)
		c.run(11 * time.Second)
		require.Zero(t, c.off())
		require.Equal(t, 2, strings.Count(c.log.String(), "WARN"), "that it jumped, and that it is followed")
		c.run(time.Minute)
		require.Equal(t, 2, strings.Count(c.log.String(), "WARN"))
	})

	t.Run("DatabaseThatCannotTellTheTime", func(t *testing.T) {
		t.Parallel()
		c := newClocks(t)
		c.read()
		right := c.database
		for i := range 100 {
			c.pass(time.Second)
			right = right.Add(time.Second)
			c.database = right.Add(time.Duration(i+1) * time.Hour)
			c.read()
			require.Equal(t, right, c.clock.Now().UTC())
		}
		require.Equal(t, 1, strings.Count(c.log.String(), "WARN"))
	})
}

// An order's id has the time of the clock that it was placed by: exports look for a range of time by ids.
func TestIDsAreByTheClock(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-2 * time.Hour)
	s, err := store.New(store.Config{DB: storetest.Tx(t), Now: func() time.Time { return now }, Wall: time.Now})
	require.NoError(t, err)
	var last orders.ID
	for range 20 {
		o := storetest.Order(t, s)
		require.Equal(t, byte(7), byte(o.ID.Version()))
		seconds, nanoseconds := o.ID.Time().UnixTime()
		require.WithinDuration(t, o.PlacedAt, time.Unix(seconds, nanoseconds), time.Second)
		require.Positive(t, bytes.Compare(o.ID[:], last[:]))
		last = o.ID
	}
	found, err := s.Orders.Export(t.Context(), store.Export{
		From: now.Add(-time.Second), To: now.Add(time.Second), Limit: 100,
	})
	require.NoError(t, err)
	require.Len(t, found, 20)
}

// The feed keeps the clock right. A wall clock that was set is a finding of verification, although nothing goes by it.
func TestWallClockIsVerified(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	ahead := func() time.Time { return time.Now().Add(2 * time.Hour) }
	clock := store.NewClock(store.ClockConfig{Wall: ahead, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	feed := store.NewFeed(pool, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	feed.SetClock(clock)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		feed.Run(ctx)
	}()
	<-feed.Begun()
	require.WithinDuration(t, time.Now(), clock.Now(), time.Minute)
	require.InDelta(t, 2*time.Hour, clock.Skew(), float64(time.Minute))
	stop()
	<-done

	s, err := store.New(store.Config{DB: pool, Now: clock.Now, Wall: ahead})
	require.NoError(t, err)
	v, err := s.Verifier.Verify(t.Context(), store.VerifyOptions{})
	require.NoError(t, err)
	require.Contains(t, checks(v), "clock")
}
