package jobs_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestOrder(t *testing.T) {
	t.Parallel()

	t.Run("Completes", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		s.start()
		id := s.place(nil)
		order := s.awaitStatus(id, orders.Completed)
		require.Equal(t, 100, order.Progress())
		s.await(id, "the e-mail", func(o orders.Order) bool {
			return o.Latest(orders.SendEmail).State == orders.StateSucceeded
		})
		require.Equal(t, map[string]int{
			"authorize": 1, "reserve": 1, "quote": 1, "capture": 1, "ship": 1, "email": 1,
		}, s.effects(id))
		for _, entry := range s.simulator.Ledger() {
			if entry.Operation == "capture" {
				require.Equal(t, "209.97", entry.Amount.String())
			}
		}
	})

	t.Run("DeclinedIsUndone", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		s.start()
		id := s.place(func(p *orders.Placement) { p.PaymentMethod = "card_declined" })
		order := s.awaitStatus(id, orders.Failed)
		require.Equal(t, "authorize_payment refused: card_declined", order.Reason)
		effects := s.effects(id)
		require.Zero(t, effects["capture"])
		require.Equal(t, effects["reserve"], effects["release"])
	})

	t.Run("OutOfStockIsVoided", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		s.start()
		id := s.place(func(p *orders.Placement) { p.Items[0].ProductID = 9999 })
		s.awaitStatus(id, orders.Failed)
		effects := s.effects(id)
		require.Equal(t, 1, effects["authorize"])
		require.Equal(t, 1, effects["void"])
		require.Zero(t, effects["capture"])
	})

	t.Run("ShipmentRefusedIsRefunded", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		require.NoError(t, s.simulator.SetFaults(simulator.Faults{
			orders.Shipping: {RefuseRate: 1, Operations: []string{"ship"}},
		}))
		s.start()
		id := s.place(nil)
		s.awaitStatus(id, orders.Refunded)
		effects := s.effects(id)
		require.Equal(t, 1, effects["capture"])
		require.Equal(t, 1, effects["refund"])
		require.Equal(t, 1, effects["release"])
	})

	t.Run("RefusedCompensationNeedsAttention", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		require.NoError(t, s.simulator.SetFaults(simulator.Faults{
			orders.Payment: {RefuseRate: 1, Operations: []string{"void"}},
		}))
		s.start()
		id := s.place(func(p *orders.Placement) { p.Items[0].ProductID = 9999 })
		order := s.awaitStatus(id, orders.NeedsAttention)
		require.Equal(t, "void_payment refused: provider_refused", order.Reason)
	})
}

// The answer to every second call is lost after the call took effect. Everything still happens exactly once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	lossy := simulator.Fault{LostRate: 0.5}
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: lossy, orders.Inventory: lossy, orders.Shipping: lossy,
	}))
	s.start()
	ids := make([]orders.ID, 20)
	for i := range ids {
		ids[i] = s.place(nil)
	}
	for _, id := range ids {
		s.awaitStatus(id, orders.Completed)
		effects := s.effects(id)
		delete(effects, "email")
		require.Equal(t, map[string]int{"authorize": 1, "reserve": 1, "quote": 1, "capture": 1, "ship": 1}, effects)
	}
}

// An authorisation that expires before its capture undoes the order, and no money was taken.
func TestExpiredAuthorization(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{orders.Payment: {ExpireRate: 1}}))
	s.start()
	id := s.place(nil)
	o := s.awaitStatus(id, orders.Failed)
	require.Equal(t, "capture_payment refused: authorization_expired", o.Reason)
	effects := s.effects(id)
	delete(effects, "email")
	require.Equal(t, map[string]int{"authorize": 1, "reserve": 1, "quote": 1, "release": 1}, effects)
}

// A provider that is down delays its own steps only.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{orders.Inventory: {Down: true}}))
	s.start()
	id := s.place(nil)
	s.await(id, "the payment's authorisation", func(o orders.Order) bool {
		return o.Latest(orders.AuthorizePayment).State == orders.StateSucceeded
	})
	require.NoError(t, s.simulator.SetFaults(nil))
	s.awaitStatus(id, orders.Completed)
}

// A step whose deadline passes without an answer is given up, and what it may have done is undone by key.
func TestDeadline(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {LostRate: 1, Operations: []string{"authorize"}},
	}))
	id := s.place(nil)
	s.ahead.Store(int64(2 * time.Hour))
	s.start()
	order := s.awaitStatus(id, orders.Failed)
	require.Equal(t, orders.StateUnknown, order.Latest(orders.AuthorizePayment).State)
	require.Equal(t, orders.StateSucceeded, order.Latest(orders.VoidPayment).State)
	require.Empty(t, s.effects(id)["authorize"], "nothing is sent after the deadline")
}

// At the deadline the provider is asked: what did happen is not guessed to have failed.
func TestDeadlineAsksFirst(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	lost := make(chan struct{}, 100)
	s.onCall = func(r *http.Request) {
		if r.URL.Path == "/payments/captures" {
			s.ahead.Store(int64(30 * time.Hour))
			lost <- struct{}{}
		}
	}
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {LostRate: 1, Operations: []string{"capture"}},
	}))
	s.start()
	id := s.place(nil)
	<-lost
	s.await(id, "the capture", func(o orders.Order) bool {
		step := o.Latest(orders.CapturePayment)
		return step != nil && step.State == orders.StateSucceeded
	})
	require.Equal(t, 1, s.effects(id)["capture"])
}

func TestCancel(t *testing.T) {
	t.Parallel()

	t.Run("BeforeAnythingIsSent", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		id := s.place(nil)
		s.cancel(id)
		s.start()
		s.awaitStatus(id, orders.Cancelled)
		effects := s.effects(id)
		delete(effects, "email")
		require.Empty(t, effects, "steps that are no longer needed are not sent")
	})

	t.Run("WhileTheCaptureIsUnderWay", func(t *testing.T) {
		t.Parallel()
		s := newSystem(t)
		captured, cancelled := make(chan struct{}), make(chan struct{})
		var once sync.Once
		s.onCall = func(r *http.Request) {
			if r.URL.Path == "/payments/captures" {
				once.Do(func() { close(captured) })
				<-cancelled
			}
		}
		s.start()
		id := s.place(nil)
		<-captured
		s.cancel(id)
		close(cancelled)
		s.awaitStatus(id, orders.Refunded)
		effects := s.effects(id)
		require.Equal(t, 1, effects["capture"])
		require.Equal(t, 1, effects["refund"])
		require.Zero(t, effects["ship"])
		require.Equal(t, effects["reserve"], effects["release"])
	})
}

// Jobs that run twice, at the same time or long after, change nothing.
func TestDuplicateJobs(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := s.place(nil)
	duplicate := func() {
		for _, spec := range orders.Specs() {
			_, err := s.client.Insert(t.Context(), orders.StepJob{OrderID: id, Step: spec.Name, Generation: 1},
				&river.InsertOpts{Queue: string(spec.Provider)})
			require.NoError(t, err)
		}
	}
	duplicate()
	s.start()
	order := s.await(id, "the e-mail", func(o orders.Order) bool {
		return o.Status == orders.Completed && o.Latest(orders.SendEmail).State == orders.StateSucceeded
	})
	s.awaitNoJobs() // a duplicate that has found its step unsettled may send it yet
	before, sends := map[string]int{}, map[string]int{}
	for _, key := range s.simulator.Keys() {
		before[key.Key] = key.Sends
	}
	duplicate()
	s.awaitNoJobs()
	require.Equal(t, int64(7), order.Version)
	for operation, n := range s.effects(id) {
		require.Equal(t, 1, n, operation)
	}
	for _, key := range s.simulator.Keys() {
		if strings.HasPrefix(key.Key, id.String()) {
			sends[key.Key] = key.Sends
		}
	}
	for key, n := range sends {
		require.Equal(t, before[key], n, "%s was sent again after it was settled", key)
	}
}

// A provider that took the money and answers with an error ever since is asked, and the order goes on.
func TestStuckAnswer(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	require.NoError(t, s.simulator.SetFaults(simulator.Faults{
		orders.Payment: {LostRate: 1, Operations: []string{"capture"}},
	}))
	s.start()
	id := s.place(nil)
	s.awaitStatus(id, orders.Completed)
	require.Equal(t, 1, s.effects(id)["capture"])
}

// A provider that has forgotten a key cannot undo its effect. Its answer that there was nothing to undo must not be
// believed.
func TestForgottenKey(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	id := s.place(func(p *orders.Placement) { p.Items[0].ProductID = 9999 })
	_, err := s.store.Orders.Apply(t.Context(), []orders.Event{ // as if it had happened at a provider that forgot it
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded),
	})
	require.NoError(t, err)
	s.start()
	order := s.awaitStatus(id, orders.NeedsAttention)
	require.Equal(t, "void_payment refused: nothing_to_undo", order.Reason)
}

// I11 and I12: when a call is made, its intent is committed, its bytes are the stored ones, and no transaction is
// open anywhere.
func TestIntentBeforeCall(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var mu sync.Mutex
	var problems []string
	calls := 0
	s.onCall = func(r *http.Request) {
		if r.Method != http.MethodPost {
			return // a question has no intent of its own
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var stored bool
		err1 := s.pool.QueryRow(r.Context(), `SELECT EXISTS (SELECT FROM order_steps WHERE request = $1
			AND order_id || ':' || step || ':' || generation = $2)`, body, r.Header.Get("Idempotency-Key")).Scan(&stored)
		// Outcomes of the order's other steps may lock it for a moment. A worker that held the lock during this call would
		// hold it until the call ends.
		err2 := pgx.BeginFunc(r.Context(), s.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(r.Context(), "SET LOCAL lock_timeout = 0")
			if err == nil {
				_, err = tx.Exec(r.Context(), "SELECT FROM orders WHERE id = $1 FOR UPDATE",
					r.Header.Get("Idempotency-Key")[:36])
			}
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		calls++
		if err1 != nil || err2 != nil || !stored {
			problems = append(problems, fmt.Sprint(r.URL.Path, stored, err1, err2))
		}
	}
	s.start()
	id := s.place(nil)
	s.awaitStatus(id, orders.Completed)
	mu.Lock()
	defer mu.Unlock()
	require.GreaterOrEqual(t, calls, 5)
	require.Empty(t, problems)
}
