package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/upstream/smtptest"
)

func reply(code int) func(*smtp.Conn) error {
	return func(*smtp.Conn) error { return &smtp.SMTPError{Code: code, Message: "no: ada@example.com"} }
}

func drop(conn *smtp.Conn) error {
	_ = conn.Conn().Close()
	return errors.New("gone")
}

// What goes wrong before the final dot, or is answered to it, was certainly not sent. What is lost after it is unknown.
func TestMailFaults(t *testing.T) {
	t.Parallel()
	hang := func(d deadline) func(*smtp.Conn) error {
		return func(conn *smtp.Conn) error {
			d.pass()
			_, _ = conn.Conn().Read(make([]byte, 1)) // until the client has had enough
			return drop(conn)
		}
	}
	atRecipient, afterTheDot := newDeadline(), newDeadline()
	const unavailable, refused = "*upstream.UnavailableError", "*upstream.RefusedError"
	const misconfigured, uncertain = "*upstream.MisconfiguredError", "*upstream.UncertainError"
	tests := []struct {
		name         string
		server       smtptest.Config
		change       func(*upstream.SMTP)
		ctx          context.Context //nolint:containedctx // the caller's; nil: the test's
		class, text  string
		noted, taken bool // what the ledger says at the end
		messages     int
	}{
		{
			name: "Busy", server: smtptest.Config{OnConnect: func() error { return reply(421)(nil) }},
			class: unavailable, text: "status 421",
		},
		{
			name: "NoSTARTTLS", server: smtptest.Config{Plaintext: true, Open: true}, class: misconfigured,
			change: func(s *upstream.SMTP) { s.User, s.Password = "", "" },
		},
		{
			name: "StrangerCertificate", change: func(s *upstream.SMTP) { s.TLS = nil },
			class: unavailable, text: "certificate is not trusted",
		},
		{name: "WrongPassword", change: func(s *upstream.SMTP) { s.Password = "wrong" }, class: misconfigured, text: "535"},
		{name: "NoPassword", change: func(s *upstream.SMTP) { s.User, s.Password = "", "" }, class: misconfigured},
		{name: "WrongMechanism", change: func(s *upstream.SMTP) { s.Auth = "scram-sha-256" }, class: misconfigured},
		{name: "NoSuchRecipient", server: smtptest.Config{OnRecipient: reply(550)}, class: refused, text: "recipient_550"},
		{name: "Greylisted", server: smtptest.Config{OnRecipient: reply(450)}, class: unavailable, text: "status 450"},
		{name: "DropsAtRecipient", server: smtptest.Config{OnRecipient: drop}, class: unavailable, text: "connection lost"},
		{
			name: "HangsAtRecipient", server: smtptest.Config{OnRecipient: hang(atRecipient)}, ctx: atRecipient,
			class: unavailable, text: "no answer in time",
		},
		{name: "DropsInTheMessage", server: smtptest.Config{OnData: drop}, class: uncertain, noted: true},
		{
			name: "NotNow", server: smtptest.Config{OnMessage: reply(451)}, class: unavailable, text: "status 451",
			taken: true, messages: 1,
		},
		{
			name: "Spam", server: smtptest.Config{OnMessage: reply(554)}, class: refused, text: "message_554",
			noted: true, messages: 1,
		},
		{
			name: "DropsAfterTheDot", server: smtptest.Config{OnMessage: drop}, class: uncertain, text: "connection_lost",
			noted: true, messages: 1,
		},
		{
			name: "HangsAfterTheDot", server: smtptest.Config{OnMessage: hang(afterTheDot)}, ctx: afterTheDot,
			class: uncertain, text: "no_answer", noted: true, messages: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, tt.server)
			registry := prometheus.NewRegistry()
			c, ledger := mailing(t, server, func(c *upstream.Config) {
				c.Registerer = registry
				if tt.change != nil {
					tt.change(c.SMTP)
				}
			})
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			_, err := c.Send(ctx, orders.SendEmail, mailKey, []byte(completed))
			require.Equal(t, tt.class, fmt.Sprintf("%T", unjoined(err)), "%v", err)
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, tt.noted, ledger.noted.Load())
			require.Equal(t, tt.taken, ledger.taken.Load() > 0)
			require.Len(t, server.Messages(), tt.messages)
			for _, secret := range []string{"ada@", smtptest.Password, smtptest.User} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// unjoined is the one error of errors.Join.
func unjoined(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()[0]
	}
	return err
}

func TestMailCannotConnect(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &smtptest.Server{Host: listener.Addr().String()}
	c, ledger := mailing(t, server, func(c *upstream.Config) { c.Timeout = time.Second })
	_, err = sendMail(t, c) // the server never accepts
	require.ErrorContains(t, err, "no answer in time")
	require.Zero(t, ledger.handed.Load())

	require.NoError(t, listener.Close())
	c, ledger = mailing(t, server) // which has the time to hear of it
	_, err = sendMail(t, c)
	require.ErrorContains(t, err, "cannot connect")
	require.Zero(t, ledger.handed.Load())
	for range 4 {
		_, _ = sendMail(t, c)
	}
	var open *upstream.OpenError
	_, err = sendMail(t, c)
	require.ErrorAs(t, err, &open)
	require.Equal(t, "open", c.States()[orders.Email])
}

// What is wrong with one recipient says nothing of the server, however many there are.
func TestMailGreylistedForAll(t *testing.T) {
	t.Parallel()
	c, _ := mailing(t, smtptest.Start(t, smtptest.Config{OnRecipient: reply(450)}))
	for range 30 {
		_, err := sendMail(t, c)
		require.ErrorContains(t, err, "status 450")
	}
	require.Equal(t, "closed", c.States()[orders.Email])
}

// A caller that goes away before the final dot leaves nothing behind; after it, it leaves a message that may be sent.
func TestMailCancelled(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]bool{"Before": false, "After": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			gone := func(conn *smtp.Conn) error {
				cancel()
				_, _ = conn.Conn().Read(make([]byte, 1))
				return drop(conn)
			}
			config := smtptest.Config{OnRecipient: gone}
			if after {
				config = smtptest.Config{OnMessage: gone}
			}
			c, ledger := mailing(t, smtptest.Start(t, config))
			_, err := c.Send(ctx, orders.SendEmail, mailKey, []byte(completed))
			require.Equal(t, after, ledger.noted.Load())
			if after {
				require.ErrorContains(t, err, "connection_lost")
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
		})
	}
}
