package jobs_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/webhook"
)

// A webhook whose receiver is gone (410), or fails for days, is disabled, and its owner's other webhooks hear of it.
func TestWebhooksAreDisabled(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	gone := newReceiver(t, func(w http.ResponseWriter, _ received) { w.WriteHeader(http.StatusGone) })
	poor := newReceiver(t, func(w http.ResponseWriter, _ received) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	sibling, stranger := newReceiver(t, nil), newReceiver(t, nil)
	goneHook, poorHook := o.webhook(gone.URL), o.webhook(poor.URL)
	siblingHook := o.webhook(sibling.URL, func(n *store.NewWebhook) { n.EventTypes = []string{webhook.WebhookDisabled} })
	o.webhook(stranger.URL, func(n *store.NewWebhook) {
		n.Principal, n.EventTypes = "stranger", []string{webhook.WebhookDisabled}
	})
	o.order("1")
	o.awaitLog(7) // or some of it would happen while the webhook is disabled
	o.start()
	o.eventually("410 to disable", func() bool { return o.read(goneHook).State == store.WebhookDisabled })
	require.Equal(t, store.DisabledGone, o.read(goneHook).DisabledReason)
	require.Len(t, gone.messages(), 1, "nothing is sent any more")
	o.eventually("a failure", func() bool { return o.read(poorHook).Failures > 0 })
	require.Equal(t, store.WebhookEnabled, o.read(poorHook).State)
	o.eventually("the first notice", func() bool { return len(o.deliveries(siblingHook, store.DeliveryDelivered)) == 1 })
	o.ahead.Add(int64(5*24*time.Hour + time.Hour))
	o.eventually("failing to disable", func() bool { return o.read(poorHook).DisabledReason == store.DisabledFailing })
	o.eventually("both notices", func() bool { return len(sibling.messages()) == 2 })
	require.Contains(t, sibling.messages()[0].body, `"reason":"gone"`)
	require.Empty(t, stranger.messages())

	// What had not been sent goes on where it was.
	gone.mu.Lock()
	gone.answer, gone.journal = nil, nil
	gone.mu.Unlock()
	enabled := true
	_, err := o.store.Webhooks.Change(t.Context(), shop, goneHook.ID, store.WebhookChange{Enabled: &enabled})
	require.NoError(t, err)
	o.eventually("the rest", func() bool { return len(gone.messages()) == 6 })
}

// What failed while a webhook was down is not left to its own schedule when it is up again.
func TestWebhookRecovers(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	var up atomic.Bool
	r := newReceiver(t, func(w http.ResponseWriter, _ received) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	w := o.webhook(r.URL, func(n *store.NewWebhook) { n.EventTypes = []string{"OrderCreated"} })
	o.start()
	for range 20 {
		storetest.Order(t, o.store)
	}
	failures := 0
	fail := func() {
		o.eventually("a failure", func() bool { return o.read(w).Failures > failures })
		failures = o.read(w).Failures
	}
	for fail(); failures < 8; fail() {
		o.ahead.Add(int64(5 * time.Minute)) // the longest that a webhook is left alone
	}
	tried := 0
	for _, d := range o.deliveries(w, store.DeliveryPending) {
		tried += min(d.Attempts, 1)
	}
	require.Less(t, tried, 20, "a webhook that is down costs attempts of few messages")
	up.Store(true)
	o.ahead.Add(int64(5 * time.Minute))
	o.eventually("all", func() bool { return len(o.deliveries(w, store.DeliveryDelivered)) == 20 })
	require.Zero(t, o.read(w).Failures)
	require.True(t, o.read(w).FailingSince.IsZero())
}

// A webhook whose name leads inside gets nothing, and its owner sees why.
func TestWebhookIsBlocked(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	w := o.webhook("https://192.0.2.1/hook")
	o.start()
	storetest.Order(t, o.store)
	o.eventually("blocked", func() bool { return len(o.deliveries(w, store.DeliveryBlocked)) == 1 })
	d := o.deliveries(w, store.DeliveryBlocked)[0]
	require.Zero(t, d.Log[0].Status)
	require.Contains(t, d.Log[0].Error, "not public")
}
