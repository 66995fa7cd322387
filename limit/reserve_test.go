package limit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/limit"
)

// TestReserve begins and ends requests in any order, of which some count. What counts never exceeds the limit in a
// window, nor together with what is under way; a reservation is refused only if the limit was used up that way within a
// window and a segment; and what did not count leaves no trace.
func TestReserve(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := newClock()
		l := limit.New(limit.Config{Window: window, Now: c.Now})
		most := rapid.IntRange(1, 10).Draw(t, "limit")
		var counted []time.Time
		var open []func()
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch step := rapid.IntRange(0, 3).Draw(t, "step"); {
			case step == 0:
				c.add(time.Duration(rapid.Int64Range(0, int64(window/2)).Draw(t, "pause")))
			case step == 1 || len(open) == 0:
				d, release := l.Reserve("s", most)
				require.Positive(t, d.Reset)
				if !d.Allowed {
					require.GreaterOrEqual(t, within(counted, c.now, window+segment)+len(open), most)
					release() // changes nothing
					break
				}
				open = append(open, release)
				require.LessOrEqual(t, d.Remaining, most-len(open))
			default:
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				if step == 2 {
					require.True(t, l.Allow("s", most).Allowed, "there is room for what is reserved")
					counted = append(counted, c.now)
				}
				open[i]()
				open[i]() // a second time gives nothing back
				open = append(open[:i], open[i+1:]...)
			}
			require.LessOrEqual(t, within(counted, c.now, window)+len(open), most)
		}
		for _, release := range open {
			release()
		}
		c.add(2 * window)
		for i := range most {
			d, _ := l.Reserve("s", most)
			require.True(t, d.Allowed, "%d of %d", i, most)
		}
	})
}

// TestReserveTogether: of many callers at the same time no more than the limit are under way or have counted.
func TestReserveTogether(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Config{Window: time.Hour})
	const most, callers, tries = 20, 16, 200
	var held, counted atomic.Int64 // held: under way or counted
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for i := range tries {
				d, release := l.Reserve("s", most)
				if !d.Allowed {
					continue
				}
				if now := held.Add(1); now > most {
					t.Errorf("%d are under way or have counted", now)
				}
				if (caller+i)%10 == 0 {
					if !l.Allow("s", most).Allowed {
						t.Error("no room for what is reserved")
					}
					counted.Add(1)
				} else {
					held.Add(-1)
				}
				release()
			}
		})
	}
	wait.Wait()
	require.LessOrEqual(t, counted.Load(), int64(most))
	d, _ := l.Reserve("s", most)
	require.Equal(t, counted.Load() < most, d.Allowed)
	subjects, _ := l.Known()
	require.LessOrEqual(t, subjects, 1)
}
