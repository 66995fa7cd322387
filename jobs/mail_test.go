package jobs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/upstream/smtptest"
)

// newMailSystem is a system whose e-mail goes to a mail server.
func newMailSystem(t *testing.T, c smtptest.Config) (*system, *smtptest.Server) {
	t.Helper()
	server := smtptest.Start(t, c)
	return newSystem(t, func(s *system, c *upstream.Config) {
		delete(c.URLs, orders.Email)
		c.Timeout = 25 * time.Second // a session that is cut off is another outcome; the job has 30 s
		c.SMTP = &upstream.SMTP{
			URL: "smtp://" + server.Host, User: smtptest.User, Password: smtptest.Password, From: "orders@shop.example",
			TLS: server.Trust, HandOver: s.store.Notifications.HandOver, TakeBack: s.store.Notifications.TakeBack,
		}
	}), server
}

func addressed(p *orders.Placement) { p.CustomerEmail = "ada@example.com" }

// awaitMail waits until an e-mail of an order has an outcome.
func (s *system) awaitMail(id orders.ID, generation int) orders.Step {
	s.t.Helper()
	order := s.await(id, "the e-mail", func(o orders.Order) bool {
		step := o.Step(orders.SendEmail, generation)
		return step != nil && step.State != orders.StatePending
	})
	return *order.Step(orders.SendEmail, generation)
}

// complete carries an order to its end without any provider, but for the e-mail.
func (s *system) complete(id orders.ID) {
	s.t.Helper()
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment, orders.BookShipment,
	} {
		_, err := s.store.Orders.Apply(s.t.Context(), []orders.Event{storetest.Outcome(id, step, orders.StepSucceeded)})
		require.NoError(s.t, err)
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	s, server := newMailSystem(t, smtptest.Config{})
	cancelled := s.place(addressed)
	s.cancel(cancelled)
	s.start()
	completed := s.place(addressed)
	failed := s.place(func(p *orders.Placement) { addressed(p); p.PaymentMethod = "card_declined" })
	nowhere := s.place(nil)
	subjects := map[orders.ID]string{
		completed: "Your order is confirmed (209.97 USD)", failed: "Your order could not be completed",
		cancelled: "Your order is cancelled",
	}
	for id := range subjects {
		require.Equal(t, orders.StateSucceeded, s.awaitMail(id, 1).State)
	}
	skipped := s.awaitMail(nowhere, 1)
	require.Equal(t, orders.StateRefused, skipped.State)
	require.Equal(t, orders.NoAddress, skipped.Reason)
	s.awaitStatus(nowhere, orders.Completed)

	_, err := s.store.Orders.Apply(t.Context(), []orders.Event{
		{OrderID: completed, Kind: orders.RefundRequested, Amount: 997, At: time.Now()},
	})
	require.NoError(t, err)
	require.Equal(t, orders.StateSucceeded, s.awaitMail(completed, 2).State)

	var got []string
	for _, m := range server.Messages() {
		got = append(got, m.Header.Get("Message-Id")[1:37]+" "+m.Header.Get("Subject"))
	}
	want := []string{completed.String() + " We have given back 9.97 USD"}
	for id, subject := range subjects {
		want = append(want, id.String()+" "+subject)
	}
	require.ElementsMatch(t, want, got)
}

// An HTTP provider gets the address as well, and its ledger shows what was sent.
func TestMailThroughAProvider(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.start()
	for want, change := range map[string]func(*orders.Placement){"ada@example.com": addressed, "": nil} {
		id := s.place(change)
		require.Equal(t, orders.StateSucceeded, s.awaitMail(id, 1).State)
		for _, entry := range s.simulator.Ledger() {
			if entry.OrderID == id.String() && entry.Operation == "email" {
				require.Equal(t, want, entry.To)
				require.Equal(t, "order_completed", entry.Template)
			}
		}
		require.Equal(t, 1, s.effects(id)["email"])
	}
}

// A server that refuses for a while gets the message in the end, once; nothing that it answered was a delivery.
func TestMailIsTriedAgain(t *testing.T) {
	t.Parallel()
	var answers, delivered atomic.Int64
	s, _ := newMailSystem(t, smtptest.Config{OnMessage: func(*smtp.Conn) error {
		if answers.Add(1) <= 2 {
			return &smtp.SMTPError{Code: 451, Message: "not now"}
		}
		delivered.Add(1)
		return nil
	}})
	s.start()
	id := s.place(addressed)
	require.Equal(t, orders.StateSucceeded, s.awaitMail(id, 1).State)
	require.Equal(t, int64(1), delivered.Load())
}

func TestMailIsRefused(t *testing.T) {
	t.Parallel()
	s, server := newMailSystem(t, smtptest.Config{OnRecipient: func(*smtp.Conn) error {
		return &smtp.SMTPError{Code: 550, Message: "no such user"}
	}})
	s.start()
	id := s.place(addressed)
	step := s.awaitMail(id, 1)
	require.Equal(t, orders.StateRefused, step.State)
	require.Equal(t, "recipient_550", step.Reason)
	s.awaitStatus(id, orders.Completed)
	require.Empty(t, server.Messages())
}

// The process dies in the middle of a session, at any moment. The process that continues sends only a message that was
// certainly not sent.
func TestMailAfterACrash(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		crashAt string
		want    orders.StepState
	}{
		{"BeforeTheMessage", "recipient", orders.StateSucceeded},
		{"AfterTheMessage", "message", orders.StateUnknown},
		{"BeforeTheOutcomeIsStored", "", orders.StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, crash := context.WithCancel(t.Context())
			var once sync.Once
			at := func(name string) func(*smtp.Conn) error {
				return func(conn *smtp.Conn) (err error) {
					if name == tt.crashAt {
						once.Do(func() {
							crash()
							_, _ = conn.Conn().Read(make([]byte, 1)) // until the connection is gone
							err = errors.New("gone")
						})
					}
					return err
				}
			}
			s, server := newMailSystem(t, smtptest.Config{OnRecipient: at("recipient"), OnMessage: at("message")})
			id := s.place(addressed)
			s.complete(id)
			intent, err := s.store.Orders.Intent(t.Context(), orders.StepJob{OrderID: id, Step: orders.SendEmail, Generation: 1})
			require.NoError(t, err)
			_, err = s.providers.Send(ctx, orders.SendEmail, intent.Key, intent.Request) // and the outcome is lost
			require.Equal(t, tt.crashAt == "", err == nil)

			s.start()
			step := s.awaitMail(id, 1)
			require.Equal(t, tt.want, step.State)
			require.Len(t, server.Messages(), 1)
			if tt.want == orders.StateUnknown {
				require.Equal(t, "interrupted", step.Reason)
			}
		})
	}
}

// The same message in many jobs, to a server that loses every third answer and says "not now" to every other third:
// each message is taken at most once, and if anything is known of it, that is true.
func TestMailAtMostOnce(t *testing.T) {
	t.Parallel()
	var messages atomic.Int64
	s, server := newMailSystem(t, smtptest.Config{OnMessage: func(conn *smtp.Conn) error {
		switch messages.Add(1) % 3 {
		case 0:
			_ = conn.Conn().Close()
		case 1:
			return &smtp.SMTPError{Code: 451, Message: "not now"}
		}
		return nil
	}})
	var ids []orders.ID
	for range 12 {
		id := s.place(addressed)
		s.complete(id)
		ids = append(ids, id)
		for range 3 {
			_, err := s.client.Insert(t.Context(), orders.StepJob{OrderID: id, Step: orders.SendEmail, Generation: 1},
				&river.InsertOpts{Queue: string(orders.Email)})
			require.NoError(t, err)
		}
	}
	s.start()
	for _, id := range ids {
		s.awaitMail(id, 1)
	}
	s.awaitNoJobs()
	states := map[orders.StepState]int{}
	for _, id := range ids {
		taken := 0
		for _, m := range server.Messages() {
			if !m.Rejected && strings.HasPrefix(m.Header.Get("Message-Id"), "<"+id.String()) {
				taken++
			}
		}
		step := s.awaitMail(id, 1)
		states[step.State]++
		require.LessOrEqual(t, taken, 1)
		if step.State == orders.StateSucceeded {
			require.Equal(t, 1, taken)
		}
	}
	t.Logf("%d messages for %d orders: %v", messages.Load(), len(ids), states)
	require.Zero(t, states[orders.StateRefused])
}
