package jobs_test

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

// A worker whose machine's clock is set two hours ahead, or back, while it works gives no step up for that, and puts
// none off by as much: neither one that failed nor one whose provider asks for patience.
func TestWallClockJumps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		jump       time.Duration
		retryAfter string
	}{
		"Ahead":         {2 * time.Hour, ""},
		"AheadPatient":  {2 * time.Hour, "1"},
		"Behind":        {-2 * time.Hour, ""},
		"BehindPatient": {-2 * time.Hour, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ahead, calls atomic.Int64
			var clock *store.Clock
			s := newSystem(t, func(s *system, _ *upstream.Config) {
				clock = store.NewClock(store.ClockConfig{
					Wall:   func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
					Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
				})
				require.NoError(t, clock.Read(t.Context(), s.pool))
				s.retryAfter = test.retryAfter
				s.garbles = func(r *http.Request) (*garbled, bool) {
					if r.URL.Path != "/payments/authorizations" || r.Method != http.MethodPost || calls.Add(1) > 2 {
						return nil, false
					}
					ahead.Store(int64(test.jump)) // while it is being worked on
					return &garbled{status: http.StatusServiceUnavailable}, false
				}
				s.configure = func(c *jobs.Config) { c.Clock, c.Now = clock, nil }
			})
			id := s.place(nil)
			s.start()
			order := s.awaitStatus(id, orders.Completed)
			require.Equal(t, test.jump, time.Duration(ahead.Load()))
			require.NoError(t, clock.Read(t.Context(), s.pool))
			require.InDelta(t, test.jump, clock.Skew(), float64(time.Minute))
			for _, step := range order.Steps {
				require.WithinDuration(t, order.PlacedAt, step.StartedAt, time.Hour)
			}
		})
	}
}

// What is put off, and what is settled, is so by the clock that the workers are given, whatever this machine's says.
func TestJobsAreDueByTheClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		off        time.Duration
		retryAfter string
	}{
		"RetriedAhead":  {2 * time.Hour, ""},
		"PutOffAhead":   {2 * time.Hour, "1"},
		"RetriedBehind": {-2 * time.Hour, ""},
		"PutOffBehind":  {-2 * time.Hour, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := store.NewClock(store.ClockConfig{
				Wall:   func() time.Time { return time.Now().Add(test.off) }, // and it is never read
				Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			var seen atomic.Bool
			s := newSystem(t, func(s *system, _ *upstream.Config) {
				s.retryAfter = test.retryAfter
				s.garbles = func(r *http.Request) (*garbled, bool) {
					if r.URL.Path != "/payments/authorizations" || r.Method != http.MethodPost || seen.Load() {
						return nil, false
					}
					return &garbled{status: http.StatusServiceUnavailable}, false
				}
				s.configure = func(c *jobs.Config) { c.Clock, c.Now = clock, nil }
			})
			// The deadline is by the same clock, as all of a process is.
			placing, err := store.New(store.Config{DB: s.pool, Now: clock.Now})
			require.NoError(t, err)
			id := storetest.Order(t, placing).ID
			s.start()
			var due time.Time
			require.Eventually(t, func() bool {
				return s.pool.QueryRow(t.Context(), `SELECT scheduled_at FROM river_job WHERE kind = 'authorize_payment'
					AND state IN ('scheduled', 'retryable')`).Scan(&due) == nil
			}, time.Minute, 10*time.Millisecond)
			seen.Store(true)
			require.WithinDuration(t, clock.Now(), due, time.Hour)
			order := s.await(id, "another step", func(o orders.Order) bool {
				step := o.Latest(orders.ReserveInventory)
				return step != nil && step.State == orders.StateSucceeded
			})
			require.WithinDuration(t, clock.Now(), order.Latest(orders.ReserveInventory).SettledAt, time.Hour)
		})
	}
}
