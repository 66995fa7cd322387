package client_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/client"
)

// The example of the Standard Webhooks libraries, and messages that must be refused.
func TestVerifyWebhook(t *testing.T) {
	t.Parallel()
	const secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", `{"test": 2432232314}`
	sent := time.Unix(1614265330, 0)
	header := func(change ...string) http.Header {
		h := http.Header{}
		h.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
		h.Set("webhook-timestamp", "1614265330")
		h.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
		for i := 0; i < len(change); i += 2 {
			h.Set(change[i], change[i+1])
		}
		return h
	}
	message, err := client.VerifyWebhook(header(), []byte(body), sent, secret)
	require.NoError(t, err)
	require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", message.ID)
	require.Nil(t, message.Event)
	_, err = client.VerifyWebhook(header(), []byte(body), sent.Add(5*time.Minute), "whsec_AAAA", secret)
	require.NoError(t, err, "any of the secrets will do")
	right := header().Get("webhook-signature")
	_, err = client.VerifyWebhook(header("webhook-signature", "v2,x v1,AAAA "+right), []byte(body), sent, secret)
	require.NoError(t, err, "any of the signatures will do")

	for name, refused := range map[string]struct {
		header http.Header
		body   string
		now    time.Time
		secret string
	}{
		"old":        {header(), body, sent.Add(5*time.Minute + time.Second), secret},
		"early":      {header(), body, sent.Add(-5*time.Minute - time.Second), secret},
		"changed":    {header(), body + " ", sent, secret},
		"id":         {header("webhook-id", "msg_other"), body, sent, secret},
		"no id":      {header("webhook-id", ""), body, sent, secret},
		"timestamp":  {header("webhook-timestamp", "1614265331"), body, sent, secret},
		"no time":    {header("webhook-timestamp", ""), body, sent, secret},
		"signature":  {header("webhook-signature", ""), body, sent, secret},
		"version":    {header("webhook-signature", strings.Replace(right, "v1", "v2", 1)), body, sent, secret},
		"secret":     {header(), body, sent, "whsec_AAAA"},
		"no headers": {http.Header{}, body, sent, secret},
	} {
		_, err := client.VerifyWebhook(refused.header, []byte(refused.body), refused.now, refused.secret)
		require.ErrorIs(t, err, client.ErrWebhook, name)
	}
	_, err = client.VerifyWebhook(header(), []byte(body), sent)
	require.ErrorIs(t, err, client.ErrWebhook, "without a secret nothing is authentic")
	_, err = client.VerifyWebhook(header(), []byte(body), sent, "whsec_?")
	require.Error(t, err)
}

// receiver verifies each message and passes it on.
func receiver(t *testing.T, secrets func() []string) (url string, messages <-chan *client.Message) {
	t.Helper()
	arrived := make(chan *client.Message, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		message, err := client.VerifyWebhook(r.Header, body, time.Now(), secrets()...)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		arrived <- message
	}))
	t.Cleanup(server.Close)
	return server.URL, arrived
}

// An order's messages travel from the real server to a receiver.
func TestWebhook(t *testing.T) {
	t.Parallel()
	c := connect(t)
	ready := make(chan struct{})
	var secret string
	url, messages := receiver(t, func() []string { <-ready; return []string{secret} })
	customer := fmt.Sprint("webhook at ", time.Now())
	hook, err := c.CreateWebhook(t.Context(), client.NewWebhook{URL: url, CustomerID: customer, Description: "test"})
	require.NoError(t, err)
	secret = hook.Secret
	close(ready)

	next := func() *client.Message {
		select {
		case m := <-messages:
			return m
		case <-time.After(time.Minute):
			require.Fail(t, "no message")
			return nil
		}
	}
	order, err := c.Place(t.Context(), orderOf(customer))
	require.NoError(t, err)
	previous := ""
	for version := int64(1); version <= 7; version++ {
		m := next()
		require.Equal(t, order.ID, m.Event.OrderID)
		require.Equal(t, version, m.Event.Version)
		require.Equal(t, previous, m.PreviousID)
		require.Equal(t, customer, m.CustomerID)
		require.Equal(t, string(m.Type), string(m.Event.Type))
		previous = m.ID
	}

	ping, err := c.PingWebhook(t.Context(), hook.ID)
	require.NoError(t, err)
	m := next()
	require.Equal(t, ping.ID, m.ID)
	require.Equal(t, client.Ping, m.Type)
	require.Nil(t, m.Event)

	var delivered []*client.Delivery
	require.Eventually(t, func() bool {
		delivered = nil
		for d, err := range c.Deliveries(t.Context(), hook.ID, client.DeliveryDelivered) {
			require.NoError(t, err)
			delivered = append(delivered, d)
		}
		return len(delivered) == 8
	}, time.Minute, 50*time.Millisecond)
	one, err := c.Delivery(t.Context(), hook.ID, previous)
	require.NoError(t, err)
	require.Equal(t, order.ID, one.OrderID)
	require.Equal(t, 200, one.Log[0].Status)
	require.Contains(t, one.Payload, order.ID)
	_, err = c.Redeliver(t.Context(), hook.ID, previous)
	require.NoError(t, err)
	require.Equal(t, previous, next().ID, "again, under the same id")
	n, err := c.RedeliverSince(t.Context(), hook.ID, time.Now().Add(-time.Hour), false)
	require.NoError(t, err)
	require.Zero(t, n)

	rotated, err := c.RotateWebhookSecret(t.Context(), hook.ID, time.Hour)
	require.NoError(t, err)
	require.NotEqual(t, hook.Secret, rotated.Secret)
	_, err = c.PingWebhook(t.Context(), hook.ID)
	require.NoError(t, err)
	require.Equal(t, client.Ping, next().Type, "the receiver still has the secret before")

	off, types := false, []client.MessageType{client.Ping}
	changed, err := c.UpdateWebhook(t.Context(), hook.ID, client.WebhookChange{Enabled: &off, EventTypes: &types})
	require.NoError(t, err)
	require.False(t, changed.Enabled)
	_, err = c.PingWebhook(t.Context(), hook.ID)
	require.True(t, client.IsConflict(err))
	found := false
	for w, err := range c.Webhooks(t.Context()) {
		require.NoError(t, err)
		found = found || w.ID == hook.ID
	}
	require.True(t, found)
	require.NoError(t, c.DeleteWebhook(t.Context(), hook.ID))
	_, err = c.Webhook(t.Context(), hook.ID)
	require.True(t, client.IsNotFound(err))
}
