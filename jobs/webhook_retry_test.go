package jobs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Webhooks that hang hold up no other webhooks, although there are more of them than workers.
func TestHangingWebhooks(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	o.workers, o.timeout = 2, 200*time.Millisecond
	const later = 10 * time.Minute
	var arrived, ended atomic.Int64 // of the requests that are made later: others may arrive when they are given up
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client leaves
		if at, _ := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64); at >= o.began.Add(later).Unix() {
			arrived.Add(1)
			defer ended.Add(1)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	var hook store.Webhook
	for i := range 6 { // of owners of their own: one owner may hold half of the workers
		hook = o.webhook(hanging.URL, func(n *store.NewWebhook) { n.Principal = fmt.Sprint("owner ", i) })
	}
	stop := o.start()
	o.order("1")
	o.eventually("failures", func() bool {
		list, err := o.store.Webhooks.List(t.Context(), store.Owner{All: true}, orders.ID{}, 100)
		require.NoError(t, err)
		return !slices.ContainsFunc(list, func(w store.Webhook) bool { return w.Failures == 0 })
	})
	// Or the next webhook would hear of some of it.
	o.eventually("the other messages", func() bool { return len(o.deliveries(hook, "")) == 7 })
	stop()

	// From now on they have workers of their own. All of those hang, for as long as a job may take.
	o.timeout = 25 * time.Second
	o.ahead.Add(int64(later))
	good := newReceiver(t, nil)
	o.webhook(good.URL)
	o.start()
	o.eventually("all workers to hang", func() bool { return arrived.Load() == 2 })
	o.order("1")
	o.eventually("the good webhook", func() bool { return len(good.messages()) == 7 })
	require.Zero(t, ended.Load(), "they still hang")
}

// The schedule, by a clock: ten attempts under one id, and then a dead letter, that can be sent again.
func TestWebhookSchedule(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	var well atomic.Bool
	poor := newReceiver(t, func(w http.ResponseWriter, _ received) {
		if !well.Load() {
			http.Error(w, "not today", http.StatusInternalServerError)
		}
	})
	w := o.webhook(poor.URL, func(n *store.NewWebhook) { n.EventTypes = []string{"OrderCreated"} })
	o.start()
	o.order("1")
	for attempt := 1; attempt <= orders.WebhookAttempts; attempt++ {
		o.eventually(fmt.Sprint("attempt ", attempt), func() bool {
			list := o.deliveries(w, "")
			return len(list) == 1 && list[0].Attempts == attempt
		})
		if attempt == orders.WebhookAttempts {
			break
		}
		d := o.deliveries(w, store.DeliveryPending)[0]
		wait := []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
			14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		}[attempt-1]
		var alone bool
		require.NoError(t, o.pool.QueryRow(t.Context(), "SELECT busy_until > $1 FROM webhook_endpoints",
			d.Log[0].At).Scan(&alone))
		require.True(t, alone, "a webhook that has failed is left alone for a moment")
		got := d.NextAttemptAt.Sub(d.Log[0].At)
		require.True(t, got >= wait && got <= wait+wait/10, "%s after attempt %d", got, attempt)
		o.ahead.Add(int64(wait + wait/10 + 6*time.Minute)) // the webhook is left alone for five minutes at most
	}
	dead := o.deliveries(w, store.DeliveryFailed)
	require.Len(t, dead, 1)
	one, err := o.store.Deliveries.Get(t.Context(), shop, w.ID, dead[0].ID)
	require.NoError(t, err)
	require.Len(t, one.Log, orders.WebhookAttempts)
	require.Equal(t, "status 500", one.Log[0].Error)
	require.Equal(t, "not today\n", one.Log[0].Response)
	for _, m := range poor.messages() {
		require.Equal(t, dead[0].ID.String(), m.id)
	}

	well.Store(true)
	_, err = o.store.Deliveries.Redeliver(t.Context(), shop, w.ID, dead[0].ID)
	require.NoError(t, err)
	o.ahead.Add(int64(6 * time.Minute))
	o.eventually("the redelivery", func() bool { return len(o.deliveries(w, store.DeliveryDelivered)) == 1 })
	n, err := o.store.Deliveries.RedeliverSince(t.Context(), shop, w.ID, time.Time{}, store.DeliveryStates())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	o.eventually("another", func() bool { return len(poor.messages()) == orders.WebhookAttempts+2 })
}
