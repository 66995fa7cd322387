package main

import (
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream/smtptest"
)

// without leaves a flag and its value out.
func without(args []string, flag string) []string {
	i := slices.Index(args, flag)
	return slices.Concat(args[:i], args[i+2:])
}

// mailing is how to run a server whose e-mail goes to a mail server, which its environment makes it trust.
func mailing(t *testing.T, mail *smtptest.Server) (environment, args []string) {
	t.Helper()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mail.Certificate})
	require.NoError(t, os.WriteFile(roots, block, 0o600))
	args = append(without(serveArgs(storetest.URL(t), newSimulators(t)), "--email-url"),
		"--smtp-url", "smtp://"+mail.Host, "--smtp-user", smtptest.User, "--email-from", "The Shop <orders@shop.example>")
	return []string{"SSL_CERT_FILE=" + roots, "MILLRACE_SMTP_PASSWORD=" + smtptest.Password}, args
}

type notification struct{ OrderID, Recipient, State, Reason string }

func (i *instance) notifications() []notification {
	i.t.Helper()
	var page struct{ Notifications []notification }
	get(i.t, i.api+"/api/notifications?limit=100", &page)
	return page.Notifications
}

// TestMailKilled kills a process that is sending e-mail. A message that the mail server had is not
// sent again. A message that it certainly did not have is sent. Any other message is reported as unknown.
func TestMailKilled(t *testing.T) {
	t.Parallel()
	const all = 60
	var arrived atomic.Int64
	half := make(chan struct{})
	mail := smtptest.Start(t, smtptest.Config{OnMessage: func(conn *smtp.Conn) error {
		if arrived.Add(1) == all/2 {
			close(half)
		}
		if arrived.Load() >= all/2 && arrived.Load() < all/2+10 { // so that some are on their way
			select {
			case <-time.After(5 * time.Second):
			case <-t.Context().Done():
			}
		}
		return nil
	}})
	environment, args := mailing(t, mail)
	first := startProcessWith(t, environment, args...)
	order := strings.Replace(seedOrder, `"customerId"`, `"customerEmail": "ada@example.com", "customerId"`, 1)
	ids := map[string]bool{}
	for range all {
		ids[first.place(order).OrderID] = true
	}
	<-half
	first.kill()

	second := startProcessWith(t, environment, args...)
	require.Eventually(t, func() bool {
		found := second.notifications()
		return len(found) == all && !slices.ContainsFunc(found, func(n notification) bool { return n.State == "pending" })
	}, 4*time.Minute, 200*time.Millisecond)

	messages := map[string]int{}
	for _, m := range mail.Messages() {
		messages[m.Header.Get("Message-Id")[1:37]]++
	}
	states := map[string]int{}
	for _, n := range second.notifications() {
		states[n.State]++
		require.True(t, ids[n.OrderID])
		require.LessOrEqual(t, messages[n.OrderID], 1, "an order's mail was sent twice")
		if n.State == "sent" {
			require.Equal(t, 1, messages[n.OrderID])
		} else {
			require.Equal(t, "unknown interrupted", n.State+" "+n.Reason)
		}
		second.await(n.OrderID, "completed")
	}
	t.Logf("of %d orders: %v; %d messages arrived", all, states, len(messages))
	require.Positive(t, states["sent"])
	status, _, metrics := do(t, http.MethodGet, second.ops+"/metrics", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, string(metrics), `millrace_notifications_total{state="unknown"}`)
	require.NoError(t, second.stop())
}
