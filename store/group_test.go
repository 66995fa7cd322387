package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// groupTest is a group of ints whose flush can be held up. Answers are the members times ten.
type groupTest struct {
	group[int, int]
	flushes chan []int    // what is about to be flushed
	release chan struct{} // one for each flush to go on
}

const (
	waitFor = time.Minute
	tick    = time.Millisecond
)

var errPoison = &pgconn.PgError{Code: "23514", Message: "poison"}

func newGroupTest(lanes int) *groupTest {
	g := &groupTest{flushes: make(chan []int, 1000), release: make(chan struct{}, 1000)}
	g.lanes = lanes
	g.callers = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "callers", Help: "Callers."})
	g.flush = func(_ context.Context, members []int) ([]int, error) {
		g.flushes <- members
		<-g.release
		answers := make([]int, len(members))
		for i, m := range members {
			if m < 0 {
				return nil, errPoison
			}
			answers[i] = m * 10
		}
		return answers, nil
	}
	return g
}

// waitQueued waits until n members are queued.
func (g *groupTest) waitQueued(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.queued == n
	}, waitFor, tick)
}

func TestGroup(t *testing.T) {
	t.Parallel()

	t.Run("ALoneCallerDoesNotWait", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(2)
		g.release <- struct{}{}
		answers, err := g.do(t.Context(), []int{1, 2})
		require.NoError(t, err)
		require.Equal(t, []int{10, 20}, answers)
		require.Equal(t, []int{1, 2}, <-g.flushes)
	})

	t.Run("WhoComesMeanwhileSharesTheNext", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				answers, err := g.do(context.Background(), []int{i, i + 100})
				if err != nil || answers[0] != i*10 || answers[1] != (i+100)*10 {
					t.Errorf("answers to %d: %v, %v", i, answers, err)
				}
			})
			if i == 0 {
				require.Len(t, <-g.flushes, 2)
			}
		}
		g.waitQueued(t, 98)
		g.release <- struct{}{}
		require.Len(t, <-g.flushes, 98)
		g.release <- struct{}{}
		wg.Wait()
	})

	// A second commit at a time is for many, or for those behind one that does not end.
	t.Run("FewWaitForTheFirstLane", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newGroupTest(2)
			var wg sync.WaitGroup
			call := func(members int) {
				wg.Go(func() { _, _ = g.do(context.Background(), make([]int, members)) })
				synctest.Wait()
			}
			call(1)
			require.Len(t, <-g.flushes, 1)
			call(groupWorth - 1)
			require.Empty(t, g.flushes)
			call(1)
			require.Len(t, <-g.flushes, groupWorth)
			g.release <- struct{}{}
			g.release <- struct{}{}
			wg.Wait()

			call(1)
			<-g.flushes
			call(1)
			require.Empty(t, g.flushes)
			<-time.After(groupPatience + 1)
			call(1)
			require.Len(t, <-g.flushes, 2, "all that wait")
			g.release <- struct{}{}
			g.release <- struct{}{}
			wg.Wait()
			synctest.Wait()
			require.Zero(t, g.running)
		})
	})

	t.Run("BatchesAreBounded", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g.do(context.Background(), []int{0}) })
		<-g.flushes
		for range 3 {
			wg.Go(func() { _, _ = g.do(context.Background(), make([]int, groupBatch-1)) })
		}
		g.waitQueued(t, 3*(groupBatch-1))
		for range 4 {
			g.release <- struct{}{}
		}
		wg.Wait()
		for range 3 {
			require.Len(t, <-g.flushes, groupBatch-1)
		}
	})

	t.Run("APoisonedMemberFailsNoOtherMember", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g.do(context.Background(), []int{0}) })
		<-g.flushes
		for _, m := range []int{1, -1, 2} {
			wg.Go(func() {
				answers, err := g.do(context.Background(), []int{m})
				if m < 0 {
					if !errors.Is(err, errPoison) {
						t.Errorf("poison: %v", err)
					}
				} else if err != nil || answers[0] != m*10 {
					t.Errorf("answer to %d: %v, %v", m, answers, err)
				}
			})
		}
		g.waitQueued(t, 3)
		for range 5 { // the first, the batch, and its three members
			g.release <- struct{}{}
		}
		wg.Wait()
	})

	// What fails before COMMIT has written nothing, whatever kind of error it is; what fails after it may be written.
	t.Run("FailsAloneIfNothingWasWritten", func(t *testing.T) {
		t.Parallel()
		failure := errors.New("cannot be decoded")
		for name, c := range map[string]struct {
			poison func() error
			alone  bool
		}{
			"Go":         {func() error { return unwritten(func() error { return failure }) }, true},
			"Panic":      {func() error { return unwritten(func() error { panic("poison") }) }, true},
			"Slow":       {func() error { return classify(unwritten(func() error { return context.DeadlineExceeded })) }, true},
			"AtCommit":   {func() error { return failure }, false},
			"AfterIt":    {func() error { panic("poison") }, false},
			"Connection": {func() error { return classify(unwritten(func() error { return io.ErrUnexpectedEOF })) }, false},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				g := newGroupTest(1)
				g.flush = func(_ context.Context, members []int) ([]int, error) {
					g.flushes <- members
					<-g.release
					for _, m := range members {
						if m < 0 {
							return nil, c.poison()
						}
					}
					return members, nil
				}
				for range 10 {
					g.release <- struct{}{}
				}
				calls := make([]*groupCall[int, int], 3)
				for i, m := range []int{1, -1, 2} {
					calls[i] = &groupCall[int, int]{members: []int{m}}
				}
				g.answer(calls)
				require.Error(t, calls[1].err)
				if c.alone {
					require.NoError(t, calls[0].err)
					require.NoError(t, calls[2].err)
					require.Len(t, g.flushes, 4)
				} else {
					require.Error(t, calls[0].err)
					require.Len(t, g.flushes, 1)
				}
			})
		}
	})

	t.Run("WhoLeavesBeforeItsTurnIsNotFlushed", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g.do(context.Background(), []int{0}) })
		<-g.flushes
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			_, err := g.do(ctx, []int{1})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("left with %v", err)
			}
		})
		g.waitQueued(t, 1)
		wg.Go(func() { _, _ = g.do(context.Background(), []int{2}) })
		g.waitQueued(t, 2)
		cancel()
		g.waitQueued(t, 1)
		g.release <- struct{}{}
		require.Equal(t, []int{2}, <-g.flushes)
		g.release <- struct{}{}
		wg.Wait()
	})

	// A pool without connections fails a batch after seconds. Those behind it must not wait for that once each.
	t.Run("WithoutConnectionsNoCallerWaitsInLine", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		flushes := 0
		first, goOn := make(chan struct{}), make(chan struct{})
		g.flush = func(context.Context, []int) ([]int, error) {
			flushes++
			close(first)
			<-goOn
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, errBusy)
		}
		var wg sync.WaitGroup
		call := func() {
			if _, err := g.do(context.Background(), make([]int, groupBatch)); !errors.Is(err, ErrUnavailable) {
				t.Errorf("answer: %v", err)
			}
		}
		wg.Go(call)
		<-first
		for range 5 {
			wg.Go(call)
		}
		g.waitQueued(t, 5*groupBatch)
		close(goOn)
		wg.Wait()
		require.Equal(t, 1, flushes)
		g.waitQueued(t, 0)
	})

	t.Run("AFullQueueTurnsAway", func(t *testing.T) {
		t.Parallel()
		g := newGroupTest(1)
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g.do(context.Background(), []int{0}) })
		<-g.flushes
		wg.Go(func() { _, _ = g.do(context.Background(), make([]int, groupQueue)) })
		g.waitQueued(t, groupQueue)
		_, err := g.do(t.Context(), []int{1})
		require.ErrorIs(t, err, ErrUnavailable)
		g.release <- struct{}{}
		g.release <- struct{}{}
		wg.Wait()
	})
}
