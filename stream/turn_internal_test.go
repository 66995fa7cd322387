package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// calling is a principal as a holder.
func calling(name string) Holder { return Holder{Name: name} }

// queue has callers of a principal join, and returns how each hears that its turn has come.
func queue(turns *turns, name string, n int) (came []chan struct{}) {
	for range n {
		came = append(came, turns.join(calling(name)))
	}
	return came
}

// granted counts the callers whose turn has come.
func granted(came []chan struct{}) (n int) {
	for _, c := range came {
		select {
		case <-c:
			n++
		default:
		}
	}
	return n
}

func TestTurns(t *testing.T) {
	t.Parallel()
	t.Run("PassOverThatWhichHasItsShare", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(4, nil)
		many := queue(turns, "many", 100)
		require.Equal(t, 2, granted(many))
		second, third := queue(turns, "second", 1), queue(turns, "third", 1)
		require.Equal(t, 1, granted(second), "at once")
		require.Equal(t, 1, granted(third), "at once")
		fourth := queue(turns, "fourth", 1)
		require.Zero(t, granted(fourth))
		turns.release(calling("third"))
		require.Equal(t, 1, granted(fourth))
		require.Equal(t, 2, granted(many))
	})

	// However many wait before it, a principal waits for one read of each other.
	t.Run("GoRound", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(4, nil)
		others := map[string][]chan struct{}{}
		for i := range 6 {
			name := fmt.Sprint(i)
			others[name] = queue(turns, name, 100)
		}
		late := queue(turns, "late", 1)
		reads := 0
		for had := map[string]int{}; granted(late) == 0; {
			for name := range others {
				if had[name] < granted(others[name]) {
					had[name]++
					reads++
					turns.release(calling(name))
					break
				}
			}
		}
		require.LessOrEqual(t, reads, 6+4, "those under way, and one of each other")
	})

	t.Run("EndWaiting", func(t *testing.T) {
		t.Parallel()
		draining := make(chan struct{})
		turns := newTurns(1, draining)
		turn := turns.of(calling("it"), nil, nil)
		release, err := turn(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := turn(ctx)
			gone <- err
		}()
		require.Eventually(t, func() bool { return turns.waiting() == 1 }, time.Minute, time.Millisecond)
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		require.Zero(t, turns.waiting())

		go func() {
			_, err := turn(context.Background())
			gone <- err
		}()
		require.Eventually(t, func() bool { return turns.waiting() == 1 }, time.Minute, time.Millisecond)
		close(draining)
		require.ErrorIs(t, <-gone, ErrDraining)
		require.Empty(t, turns.queues)
		release()
		require.Zero(t, turns.slots.taken)
	})

	t.Run("AreNotLostToThatWhichLeaves", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(1, nil)
		h := calling("it")
		came := queue(turns, "it", 3)
		turns.release(h)
		turns.leave(h, came[1]) // its turn had come
		require.Equal(t, 3, granted(came))
		turns.release(h)
		require.Zero(t, turns.slots.taken)
	})

	t.Run("HearMeanwhile", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(1, nil)
		queue(turns, "it", 1)
		tick, broken, beats := make(chan time.Time), errors.New("broken"), 0
		go func() {
			tick <- time.Time{}
			tick <- time.Time{}
		}()
		_, err := turns.of(calling("it"), tick, func() error {
			if beats++; beats == 2 {
				return broken
			}
			return nil
		})(t.Context())
		require.ErrorIs(t, err, broken)
		require.Zero(t, turns.waiting())
	})

	t.Run("AreNotLostToThatWhichPanics", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(1, nil)
		h := calling("it")
		queue(turns, "it", 1)
		tick := make(chan time.Time, 1)
		tick <- time.Time{}
		require.Panics(t, func() {
			_, _ = turns.of(calling("it"), tick, func() error { panic("test") })(t.Context())
		})
		require.Empty(t, turns.queues)
		turns.release(h)
		require.Zero(t, turns.slots.taken)
	})

	t.Run("AreBounded", func(t *testing.T) {
		t.Parallel()
		turns := newTurns(4, nil)
		var under atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			turn := turns.of(calling(fmt.Sprint(i%7)), nil, nil)
			wg.Go(func() {
				for n := range 50 {
					ctx, cancel := context.WithCancel(t.Context())
					if n%5 == 0 {
						cancel()
					}
					if release, err := turn(ctx); err == nil {
						if under.Add(1) > 4 {
							t.Error("more than four at a time")
						}
						under.Add(-1)
						release()
					}
					cancel()
				}
			})
		}
		wg.Wait()
		require.Zero(t, turns.slots.taken)
		require.Empty(t, turns.slots.by)
		require.Empty(t, turns.queues)
	})
}
