package jobs_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

const (
	carryingJobs = "SELECT count(*) FROM river_job WHERE kind = 'carry_order'"
	stepJobs     = "SELECT count(*) FROM river_job WHERE args ? 'step'"
)

// TestOneJobCarriesAnOrder: an order that meets no trouble has one job from its placement to its e-mail.
func TestOneJobCarriesAnOrder(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	id := s.place(nil)
	s.awaitStatus(id, orders.Completed)
	s.awaitNoJobs()
	require.Equal(t, 1, s.scan(carryingJobs))
	require.Zero(t, s.scan(stepJobs))
	order, err := s.store.Orders.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orders.StateSucceeded, order.Latest(orders.SendEmail).State)
	require.Zero(t, s.scan("SELECT count(*) FROM open_orders"))
}

// TestUndoingIsCarried: a cancellation gets a carrying job of its own, which names the steps that it started.
func TestUndoingIsCarried(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := s.place(nil)
	s.cancel(id)
	s.start()
	s.awaitStatus(id, orders.Cancelled)
	s.awaitNoJobs()
	require.Zero(t, s.scan(stepJobs))
	require.Empty(t, s.effects(id)["ship"])
}

// TestTroubleIsHandedOver: a step that fails for long gets a job in its provider's queue, the others go on, and the job
// that carried the order is over in the same commit.
func TestTroubleIsHandedOver(t *testing.T) {
	t.Parallel()
	var works atomic.Bool
	s := newSystem(t, func(s *system, c *upstream.Config) {
		c.Breaker.Consecutive, c.Breaker.MinCalls = 1<<30, 1<<30 // the retries of a step must not open it
		s.silent = func(r *http.Request) bool { return !works.Load() && strings.HasPrefix(r.URL.Path, "/payments") }
	})
	s.start()
	id := s.place(nil)
	require.Eventually(t, func() bool { return s.scan(stepJobs) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, 1, s.scan(carryingJobs+" AND state = 'completed'"))
	require.Equal(t, 1, s.scan(stepJobs+` AND kind = 'authorize_payment' AND queue = 'payment'
		AND (args ->> 'tries')::int >= 1`))
	order, err := s.store.Orders.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orders.StateSucceeded, order.Latest(orders.QuoteShipping).State, "the others went on")
	works.Store(true)
	require.Eventually(t, func() bool { // an attempt from before may end in between, and wait for longer
		s.exec("UPDATE river_job SET state = 'available', scheduled_at = now() WHERE state IN ('scheduled', 'retryable')")
		order, err := s.store.Orders.Get(t.Context(), id)
		return err == nil && order.Status == orders.Completed
	}, time.Minute, 50*time.Millisecond)
	s.awaitNoJobs()
	require.Equal(t, 1, s.scan(stepJobs), "the step's job carried the order to its end")
}

// TestHandOverIsOneCommit: if the carrying job cannot be completed, nothing is handed over.
func TestHandOverIsOneCommit(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := s.place(nil)
	refused := errors.New("refused")
	err := s.store.Orders.HandOver(t.Context(), []store.Left{
		{StepJob: orders.StepJob{OrderID: id, Step: orders.QuoteShipping, Generation: 1}},
	}, func(context.Context, pgx.Tx) error { return refused })
	require.ErrorIs(t, err, refused)
	require.Zero(t, s.scan(stepJobs))
	require.Equal(t, 1, s.scan(carryingJobs+" AND state = 'available'"))
}

// panicking is a transport that panics at its first calls.
type panicking struct {
	calls atomic.Int64
}

func (p *panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/quotes") && p.calls.Add(1) == 1 {
		panic("a defect")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestPanicEndsOneAttempt: a panic in a step's goroutine ends that attempt and nothing else.
func TestPanicEndsOneAttempt(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(_ *system, c *upstream.Config) { c.Transport = new(panicking) })
	s.start()
	id := s.place(nil)
	s.awaitStatus(id, orders.Completed)
	require.Equal(t, 1, s.effects(id)["authorize"])
}

// TestStopHandsOver: a job that sees the stop ends the call that it makes, and begins no other step.
func TestStopHandsOver(t *testing.T) {
	t.Parallel()
	calling, answer := make(chan struct{}), make(chan struct{})
	var captures atomic.Int64
	s := newSystem(t, func(s *system, _ *upstream.Config) {
		var once atomic.Bool
		s.onCall = func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/quotes") && once.CompareAndSwap(false, true) {
				close(calling)
				<-answer
			}
			if strings.HasSuffix(r.URL.Path, "/captures") {
				captures.Add(1)
			}
		}
	})
	require.NoError(t, s.client.Start(context.Background()))
	id := s.place(nil)
	<-calling
	s.await(id, "the other steps", func(o orders.Order) bool {
		return o.Latest(orders.AuthorizePayment).State == orders.StateSucceeded &&
			o.Latest(orders.ReserveInventory).State == orders.StateSucceeded
	})
	stopped := make(chan error, 1)
	go func() { stopped <- s.client.Stop(context.Background()) }()
	require.Eventually(t, s.client.Stopping, time.Minute, time.Millisecond)
	close(answer)
	require.NoError(t, <-stopped)
	require.Zero(t, captures.Load())
	require.Equal(t, 1, s.scan(stepJobs+" AND kind = 'capture_payment' AND state = 'available' AND queue = 'payment'"))
	require.Equal(t, 1, s.scan(carryingJobs+" AND state = 'completed'"))
}

// TestPausedQueueIsNotCalled: an operator pauses a provider's queue in River UI. No carrying job calls the provider.
func TestPausedQueueIsNotCalled(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := newSystem(t, func(s *system, _ *upstream.Config) {
		s.onCall = func(r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/payments") {
				calls.Add(1)
			}
		}
	})
	s.exec("INSERT INTO river_queue (name, paused_at, updated_at) VALUES ('payment', now(), now())")
	s.start()
	id := s.place(nil)
	s.await(id, "another provider", func(o orders.Order) bool {
		return o.Latest(orders.QuoteShipping).State == orders.StateSucceeded
	})
	available := func() bool { return s.scan(stepJobs+" AND state = 'available'") == 1 }
	require.Eventually(t, available, time.Minute, time.Millisecond)
	require.Zero(t, calls.Load())
	require.NoError(t, s.client.QueueResume(t.Context(), "payment", nil))
	s.awaitStatus(id, orders.Completed)
}

// TestHangingProviderHoldsUpNoOther: far more orders wait for a provider that hangs than its lane has room for. Their
// other steps go on, and so do new orders.
func TestHangingProviderHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := newSystem(t, func(s *system, c *upstream.Config) {
		c.Timeout = 10 * time.Minute // no breaker ends this
		s.configure = func(c *jobs.Config) { c.Workers = 2 }
		s.onCall = func(r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/payments") {
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}
		}
	})
	s.start()
	t.Cleanup(func() { close(release) })
	var ids []orders.ID
	for range 40 {
		ids = append(ids, s.place(nil))
	}
	for _, id := range ids {
		s.await(id, "the other providers", func(o orders.Order) bool {
			return o.Latest(orders.QuoteShipping).State == orders.StateSucceeded &&
				o.Latest(orders.ReserveInventory).State == orders.StateSucceeded
		})
	}
	require.GreaterOrEqual(t, s.scan(stepJobs+" AND queue = 'payment'"), 30)
}
