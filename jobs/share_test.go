package jobs_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// As many webhooks of one owner as there are workers, all of which hang, hold up no other owner's.
func TestOwnersShareWorkers(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	o.timeout = 25 * time.Second
	var hang, most atomic.Int64 // calls that hang, and the most of them at one time
	held, release := context.WithCancel(context.Background())
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for now, before := hang.Add(1), most.Load(); now > before && !most.CompareAndSwap(before, now); {
			before = most.Load()
		}
		defer hang.Add(-1)
		select {
		case <-r.Context().Done():
		case <-held.Done():
		}
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(release)
	for range store.MaxWebhooks {
		o.webhook(hanging.URL)
	}
	require.Equal(t, store.MaxWebhooks, o.workers)
	o.start()
	o.order("1")
	o.eventually("all webhooks to be worked on", func() bool {
		var n int
		require.NoError(t, o.pool.QueryRow(t.Context(), `SELECT count(*) FROM river_job
			WHERE kind = 'deliver_webhooks' AND (state = 'running' OR metadata ? 'snoozes')`).Scan(&n))
		return n == store.MaxWebhooks
	})
	// Or the next webhook would hear of some of it.
	o.eventually("all messages of the order", func() bool { return o.messages() == 7*store.MaxWebhooks })
	good := newReceiver(t, nil)
	o.webhook(good.URL, func(n *store.NewWebhook) { n.Principal = "another" })
	o.order("2")
	o.eventually("the other owner's webhook", func() bool { return len(good.messages()) == 7 })
	require.LessOrEqual(t, most.Load(), int64(store.MaxWebhooks/2), "one owner holds half of the workers at most")
	release()
	o.eventually("all to be delivered", func() bool { return o.messages("delivered") == 14*store.MaxWebhooks+7 })
}

// messages counts the messages to all webhooks, in some states or all.
func (o *outbox) messages(states ...string) (n int) {
	o.t.Helper()
	require.NoError(o.t, o.pool.QueryRow(o.t.Context(), `SELECT count(*) FROM webhook_deliveries
		WHERE $1::text[] IS NULL OR state = ANY($1)`, states).Scan(&n))
	return n
}
