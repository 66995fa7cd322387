package limit_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/limit"
)

const (
	window  = time.Minute
	segment = window / 6
)

// clock is a clock that stands still until it is moved.
type clock struct{ now time.Time }

func newClock() *clock               { return &clock{time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }
func (c *clock) Now() time.Time      { return c.now }
func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

// within counts the times in the span of length d that ends at now.
func within(times []time.Time, now time.Time, d time.Duration) (n int) {
	for _, t := range times {
		if t.After(now.Add(-d)) {
			n++
		}
	}
	return n
}

// TestWindow compares the limiter with an exact list of what it admitted. It never admits more than the limit in any
// window; it refuses only if the limit was used up in a window and a segment; and Reset is when it admits again, to
// the microsecond.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		c.add(time.Duration(rapid.Int64Range(0, int64(window/time.Microsecond)).Draw(t, "phase")) * time.Microsecond)
		l := limit.New(limit.Config{Window: window, Now: c.Now})
		most := rapid.IntRange(1, 30).Draw(t, "limit")
		var admitted []time.Time
		try := func() limit.Decision {
			d := l.Allow("s", most)
			if d.Allowed {
				admitted = append(admitted, c.now)
			}
			require.LessOrEqual(t, within(admitted, c.now, window), most, "in one window")
			require.Positive(t, d.Reset)
			require.LessOrEqual(t, d.Reset, window)
			require.LessOrEqual(t, d.Remaining, most-within(admitted, c.now, window))
			return d
		}
		for range rapid.IntRange(1, 120).Draw(t, "requests") {
			gap := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1e6), rapid.Int64Range(0, 2e7),
				rapid.Int64Range(0, 1e8)).Draw(t, "gap")
			c.add(time.Duration(gap) * time.Microsecond)
			d := try()
			if d.Allowed {
				continue
			}
			require.GreaterOrEqual(t, within(admitted, c.now, window+segment), most, "refused too much")
			require.Zero(t, d.Remaining)
			if rapid.Bool().Draw(t, "wait") {
				c.add(d.Reset - time.Microsecond)
				require.False(t, try().Allowed, "before Reset")
				c.add(time.Microsecond)
				require.True(t, try().Allowed, "after Reset")
			}
		}
	})
}

func TestAllow(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Config{Window: window, Now: c.Now})
	for i := range 100 {
		require.Equal(t, limit.Decision{Allowed: true, Remaining: 99 - i, Reset: window}, l.Allow("a", 100))
	}
	c.add(20 * time.Second)
	for range 3 {
		require.Equal(t, limit.Decision{Reset: 40 * time.Second}, l.Allow("a", 100))
	}
	require.True(t, l.Allow("b", 100).Allowed, "another subject has its own limit")
	require.Equal(t, 1, l.Allow("a", 102).Remaining, "the limit is the caller's to choose")
	c.add(40 * time.Second)
	require.Equal(t, limit.Decision{Allowed: true, Remaining: 98, Reset: 20 * time.Second}, l.Allow("a", 100))
	require.False(t, l.Allow("c", 0).Allowed)
}

// Clocks are set back sometimes. Nothing lasts for longer than a window because of it.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Config{Window: window, Now: c.Now})
	require.True(t, l.Allow("a", 1).Allowed)
	c.add(-time.Hour)
	require.Equal(t, limit.Decision{Reset: window}, l.Allow("a", 1))
	c.add(time.Hour + window)
	require.True(t, l.Allow("a", 1).Allowed)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	const most = 100
	share := new(shared)
	c := newClock()
	l := limit.New(limit.Config{
		Window: window, Now: c.Now, MaxSubjects: most, Share: share.count, Prune: share.prune,
	})
	share.fail = true // so that nothing is remembered elsewhere either

	for range 5 {
		require.True(t, l.Allow("abuser", 5).Allowed)
	}
	names := 0
	for range 5 * most { // under a new name each, and some of them again
		l.Allow(fmt.Sprint("name-", names), 5)
		names++
		l.Allow(fmt.Sprint("name-", rand.N(names)), 5)
		known, unsent := l.Known()
		require.LessOrEqual(t, known, most)
		require.LessOrEqual(t, unsent, known)
	}
	require.False(t, l.Allow("abuser", 5).Allowed, "it has forgotten the abuser, of all")

	c.add(window + segment)
	l.Flush()
	_, unsent := l.Known()
	require.Zero(t, unsent, "there is nothing left to share")
	l.Sweep()
	known, _ := l.Known()
	require.Zero(t, known)
	require.Equal(t, []time.Time{c.now.Add(-2 * window)}, slices.Clone(share.pruned))
}

// TestForgetsTheLeastActive fills the memory but for one place with subjects that have used up their limit. However
// many names come after them, none of them is forgotten, and once they have gone silent they make room.
func TestForgetsTheLeastActive(t *testing.T) {
	t.Parallel()
	const most, each = 100, 5
	c := newClock()
	l := limit.New(limit.Config{Window: window, Now: c.Now, MaxSubjects: most})
	for i := range most - 1 {
		for range each {
			require.True(t, l.Allow(fmt.Sprint("busy-", i), each).Allowed)
		}
	}
	for i := range 10 * most {
		for range each - 1 {
			require.True(t, l.Allow(fmt.Sprint("name-", i), each).Allowed)
		}
	}
	for i := range most - 1 {
		require.False(t, l.Allow(fmt.Sprint("busy-", i), each).Allowed)
	}

	c.add(window)
	for i := range most - 1 {
		l.Allow(fmt.Sprint("late-", i), 1)
	}
	for i := range most - 1 {
		require.False(t, l.Allow(fmt.Sprint("late-", i), 1).Allowed, "its place was taken by one that has gone")
	}
}
