package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

var errDown = errors.New("down")

// shared stands in for the database where time or failures must be in the test's hands.
type shared struct {
	mu     sync.Mutex
	rows   []store.RateCount
	calls  int
	pruned []time.Time
	fail   bool // the database is down
	lose   bool // it counts, but the answer is lost
	delay  time.Duration
}

func (s *shared) count(
	ctx context.Context, counts []store.RateCount, since time.Time,
) (totals []store.RateCount, err error) {
	time.Sleep(s.delay) //nolint:forbidigo // of the fake clock
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail || ctx.Err() != nil {
		return nil, errDown
	}
	names := map[string]bool{}
	for _, c := range counts {
		names[c.Subject] = true
		s.add(c)
	}
	if s.lose {
		return nil, errDown
	}
	for _, row := range s.rows {
		if names[row.Subject] && !row.Segment.Before(since) {
			totals = append(totals, row)
		}
	}
	return totals, nil
}

func (s *shared) add(c store.RateCount) {
	for i, row := range s.rows {
		if row.Subject == c.Subject && row.Segment.Equal(c.Segment) {
			s.rows[i].Requests += c.Requests
			if c.Last.After(row.Last) {
				s.rows[i].Last = c.Last
			}
			return
		}
	}
	s.rows = append(s.rows, c)
}

func (s *shared) prune(_ context.Context, before time.Time) error {
	s.pruned = append(s.pruned, before)
	return nil
}

// state is how often it was called, and how many requests it has counted for a subject.
func (s *shared) state(subject string) (calls int, requests int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.rows {
		if row.Subject == subject || subject == "" {
			requests += row.Requests
		}
	}
	return s.calls, requests
}

func (s *shared) setFail(fail bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func admit(l *limit.Limiter, tries, limit int) (admitted int) {
	for range tries {
		if l.Allow("s", limit).Allowed {
			admitted++
		}
	}
	return admitted
}

// patient shares without the limiter's own deadline, which would make a slow machine an outage.
func patient(rates *store.Rates) func(context.Context, []store.RateCount, time.Time) ([]store.RateCount, error) {
	return func(ctx context.Context, counts []store.RateCount, since time.Time) ([]store.RateCount, error) {
		return rates.Count(context.WithoutCancel(ctx), counts, since)
	}
}

// TestTwoLimiters shares a limit through Postgres, as two processes do.
func TestTwoLimiters(t *testing.T) {
	t.Parallel()
	rates := store.NewRates(storetest.Tx(t))
	c := newClock()
	newLimiter := func() *limit.Limiter {
		return limit.New(limit.Config{Window: window, Now: c.Now, Share: patient(rates), Prune: rates.Prune})
	}
	a, b := newLimiter(), newLimiter()

	require.Equal(t, 60, admit(a, 60, 100))
	a.Flush()
	c.add(segment)
	require.Equal(t, 1, admit(b, 1, 100), "it knows nothing of the subject yet")
	b.Flush()
	require.Equal(t, 39, admit(b, 50, 100), "and now it knows all")
	b.Flush()
	// a has not flushed since: what it admits before it does is what goes above the limit.
	require.Equal(t, 40, admit(a, 100, 100), "alone it never admits more than the limit")
	a.Flush()
	require.Zero(t, admit(a, 10, 100))
	require.Zero(t, admit(b, 10, 100))
	require.Equal(t, 40*time.Second+segment, a.Allow("s", 140).Reset, "the first 60 must go")

	c.add(window - segment) // the first 60 of a are over; the 40 of each are not
	require.Equal(t, 20, admit(a, 100, 100))
	c.add(window)
	require.Equal(t, 100, admit(b, 200, 100))
	a.Sweep()
	require.Equal(t, 100, admit(newLimiter(), 200, 100))
}

// TestBound lets any number of limiters count and flush in any order. Together they never admit more in a window
// than each of them the limit, and a limiter that flushes after the limit is reached admits nothing more.
func TestBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, share := newClock(), new(shared)
		limiters := make([]*limit.Limiter, rapid.IntRange(1, 4).Draw(t, "processes"))
		own := make([][]time.Time, len(limiters)) // admitted
		for i := range limiters {
			limiters[i] = limit.New(limit.Config{Window: window, Now: c.Now, Share: share.count})
		}
		most := rapid.IntRange(1, 20).Draw(t, "limit")
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			i := rapid.IntRange(0, len(limiters)-1).Draw(t, "process")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				for range rapid.IntRange(1, 10).Draw(t, "requests") {
					if limiters[i].Allow("s", most).Allowed {
						own[i] = append(own[i], c.now)
					}
				}
				require.LessOrEqual(t, within(own[i], c.now, window), most)
			case 2:
				share.fail, share.lose = false, false
				limiters[i].Flush()
			case 3:
				c.add(time.Duration(rapid.Int64Range(0, int64(window/2)).Draw(t, "gap")))
			case 4:
				share.fail = rapid.Bool().Draw(t, "down")
				limiters[i].Flush()
				share.fail = false
			}
		}
		// All limiters share all their counts.
		for _, l := range limiters {
			l.Flush()
		}
		all, longer := 0, 0
		for i := range own {
			all += within(own[i], c.now, window)
			longer += within(own[i], c.now, window+segment)
		}
		for _, l := range limiters {
			allowed := l.Allow("s", most).Allowed
			if allowed {
				l.Flush()
				all++
				longer++
			}
			require.True(t, allowed || longer >= most, "refused too much")
			if all >= most {
				require.False(t, l.Allow("s", most).Allowed, "it knows that the limit is reached")
			}
		}
	})
}

func TestOutage(t *testing.T) {
	t.Parallel()
	c, share, log := newClock(), new(shared), new(strings.Builder)
	l := limit.New(limit.Config{
		Window: window, Now: c.Now, Share: share.count, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	share.fail = true
	require.Equal(t, 10, admit(l, 20, 10), "it decides alone")
	l.Flush()
	l.Flush()
	require.Equal(t, 1, strings.Count(log.String(), "rate limit sharing failed"))
	require.Empty(t, share.rows)

	share.fail = false
	l.Flush()
	require.EqualValues(t, 10, share.rows[0].Requests, "what it counted is not lost")
	require.Equal(t, 1, strings.Count(log.String(), "rate limit sharing recovered"))
	l.Flush()
	require.EqualValues(t, 10, share.rows[0].Requests, "nor told twice")

	share.rows = nil // the database crashed
	require.Equal(t, 2, admit(l, 5, 12))
	l.Flush()
	require.Zero(t, admit(l, 5, 12), "it does not forget what it admitted itself")

	share.lose = true
	require.Equal(t, 1, admit(l, 1, 13))
	l.Flush()
	share.lose = false
	l.Flush()
	require.EqualValues(t, 4, share.rows[0].Requests, "a lost answer may count twice")
}

// TestRun checks when counts are shared: at once after a pause, then once an interval whatever the number of requests
// and subjects, not at all if there is nothing, and at the end.
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		share := &shared{delay: 10 * time.Millisecond}
		l := limit.New(limit.Config{Share: share.count})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx)
		}()
		wait := func(d time.Duration) {
			time.Sleep(d) //nolint:forbidigo // of the fake clock
			synctest.Wait()
		}

		wait(time.Hour)
		calls, _ := share.state("")
		require.Zero(t, calls)
		l.Allow("a", 100)
		wait(10 * time.Millisecond)
		calls, _ = share.state("")
		require.Equal(t, 1, calls)

		for i := range 1000 { // for a second
			l.Allow(fmt.Sprint(i%7), 1000)
			wait(time.Millisecond)
		}
		wait(250 * time.Millisecond)
		calls, requests := share.state("")
		require.LessOrEqual(t, calls, 1+5)
		require.EqualValues(t, 1001, requests)
		wait(time.Hour)
		again, _ := share.state("")
		require.Equal(t, calls, again)

		share.setFail(true)
		l.Allow("b", 100)
		wait(10 * time.Second)
		again, _ = share.state("")
		require.LessOrEqual(t, again, calls+11, "a failure is tried again once a second")
		share.setFail(false)
		wait(2 * time.Second)
		_, requests = share.state("b")
		require.EqualValues(t, 1, requests, "and when it is over, without another request")

		l.Allow("b", 100)
		wait(20 * time.Millisecond)
		l.Allow("b", 100)
		cancel()
		<-done
		_, requests = share.state("b")
		require.EqualValues(t, 3, requests, "what is left is shared at the end")
	})
}

// TestNames: a name that the database refuses must not keep all the others from being shared.
func TestNames(t *testing.T) {
	t.Parallel()
	share := new(shared)
	l := limit.New(limit.Config{Share: patient(store.NewRates(storetest.Tx(t)))})
	other := limit.New(limit.Config{Share: share.count})
	for _, name := range []string{"", strings.Repeat("x", 1000), "\xff", "a\x00b", "ö", "address:2001:db8::/64"} {
		require.True(t, l.Allow(name, 1).Allowed)
		require.False(t, l.Allow(name, 1).Allowed)
		other.Allow(name, 1)
	}
	l.Flush()
	_, unsent := l.Known()
	require.Zero(t, unsent)
	other.Flush()
	require.Len(t, share.rows, 6, "no two are the same")
}
