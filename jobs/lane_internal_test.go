package jobs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLane: steps of orders that have begun get room before steps of new orders, in the order in which they came.
func TestLane(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{capacity: 1}
		require.NoError(t, l.enter(t.Context(), classNew))
		var entered []string
		for _, step := range []struct {
			name  string
			class int
		}{{"new", classNew}, {"begun", classBegun}, {"later", classBegun}} {
			go func() {
				if l.enter(t.Context(), step.class) == nil {
					entered = append(entered, step.name)
				}
			}()
			synctest.Wait()
		}
		used, waiting := l.occupancy()
		require.Equal(t, []int{1, 3}, []int{used, waiting})
		for range 3 {
			l.leave(time.Millisecond)
			synctest.Wait()
		}
		require.Equal(t, []string{"begun", "later", "new"}, entered)
		l.leave(time.Millisecond)
		used, waiting = l.occupancy()
		require.Zero(t, used+waiting)
	})
}

// TestLaneOfAHangingProvider turns steps away: after a second of waiting, and at once when more than that is to be
// expected.
func TestLaneOfAHangingProvider(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lane{capacity: 1}
		require.NoError(t, l.enter(t.Context(), classNew))
		began := time.Now()
		require.ErrorIs(t, l.enter(t.Context(), classNew), errLaneFull)
		require.Equal(t, laneWait, time.Since(began))
		<-time.After(time.Millisecond)
		began = time.Now()
		require.ErrorIs(t, l.enter(t.Context(), classBegun), errLaneFull)
		require.Zero(t, time.Since(began), "nothing has moved for a second")
		l.leave(time.Minute)
		require.NoError(t, l.enter(t.Context(), classBegun))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, l.enter(ctx, classBegun))
		_, waiting := l.occupancy()
		require.Zero(t, waiting)
	})
}
