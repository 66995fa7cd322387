package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/upstream/smtptest"
)

// TestOperatorsTold has a provider fail. A webhook and the operator's address hear of it, once each.
func TestOperatorsTold(t *testing.T) {
	t.Parallel()
	type message struct {
		Type string
		Data struct{ Cause, Message, Runbook string }
	}
	heard := make(chan message, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m message
		body, err := io.ReadAll(r.Body)
		if err == nil && json.Unmarshal(body, &m) == nil {
			heard <- m
		}
	}))
	t.Cleanup(receiver.Close)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	mail := smtptest.Start(t, smtptest.Config{})
	environment, args := mailing(t, mail)
	i := startProcessWith(t, environment, append(without(args, "--payment-url"), "--payment-url", down.URL,
		"--breaker-failures", "1", "--operator-email", "Ops <ops@shop.example>", "--webhook-networks", "127.0.0.0/8")...)
	status, _, answer := do(t, http.MethodPost, i.api+"/api/webhooks",
		`{"url":"`+receiver.URL+`","eventTypes":["BreakerOpen","InstanceLost"]}`)
	require.Equal(t, http.StatusCreated, status, string(answer))
	i.place(seedOrder)

	select {
	case m := <-heard:
		require.Equal(t, "BreakerOpen", m.Type)
		require.Equal(t, "payment", m.Data.Cause)
		require.Equal(t, "MillraceBreakerOpen", m.Data.Runbook)
		require.Contains(t, m.Data.Message, "payment")
	case <-time.After(2 * time.Minute):
		t.Fatal("no message")
	}
	require.Eventually(t, func() bool { return len(mail.Messages()) > 0 }, time.Minute, 50*time.Millisecond)
	letter := mail.Messages()[0]
	require.Equal(t, "ops@shop.example", letter.To)
	require.Equal(t, "Millrace: BreakerOpen: payment", letter.Header.Get("Subject"))
	require.Contains(t, letter.Raw, "MillraceBreakerOpen")
	require.NoError(t, i.stop())
	require.Empty(t, heard, "the webhook was told again")
	require.Len(t, mail.Messages(), 1)
}
