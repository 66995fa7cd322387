package store

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// TestDoorbellRate rings both bells without a pause for half a minute, the second with all its queues each time.
func TestDoorbellRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		d := &Doorbell{logger: slog.New(slog.DiscardHandler)}
		start := time.Now()
		var sent [2][]time.Duration // when notifications were sent, on each bell
		for i, c := range []struct {
			rate  rate.Limit
			burst int
			each  int
		}{{feedRate, feedBurst, 1}, {queueRate, queueBurst, 7}} {
			rung := make(bell, 1)
			rung.ring()
			go d.send(ctx, rung, rate.NewLimiter(c.rate, c.burst), func(context.Context) (int, error) {
				for range c.each {
					sent[i] = append(sent[i], time.Since(start))
				}
				rung.ring()
				return c.each, nil
			})
		}
		<-ctx.Done()
		synctest.Wait()
		for second := range 29 {
			from, n := time.Duration(second)*time.Second, 0
			for _, bell := range sent {
				for _, at := range bell {
					if at >= from && at < from+time.Second {
						n++
					}
				}
			}
			require.LessOrEqual(t, n, 100, "in second %d", second)
			require.Greater(t, n, 50, "in second %d", second)
		}
		require.Zero(t, sent[0][0], "at once")
		require.Zero(t, sent[1][0], "at once")
	})
}
