package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
	"github.com/millrace-orders/millrace/webhook"
)

// outbox is webhooks, what sends to them, and a database of a test's own.
type outbox struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *store.Store
	bell  *store.Doorbell
	// providers are down: the tests make the events.
	providers *upstream.Clients
	// ahead is how far all clocks are ahead. They stand still until a test moves them, so that no pause and no claim
	// ends because the machine is slow. A message whose claim ends during its send is sent twice: move the clock only
	// between sends.
	began   time.Time
	ahead   atomic.Int64
	timeout time.Duration
	workers int
	signing func() time.Time // the sender's clock; default now
}

func newOutbox(t *testing.T) *outbox {
	t.Helper()
	o := &outbox{t: t, pool: storetest.Pool(t), began: time.Now(), timeout: 15 * time.Second, workers: 20}
	o.signing = o.now
	o.bell = store.NewDoorbell(o.pool, o.logger())
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go o.bell.Run(ctx)
	var err error
	o.store, err = store.New(store.Config{DB: o.pool, Doorbell: o.bell, Now: o.now})
	require.NoError(t, err)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	o.providers, err = upstream.New(upstream.Config{URLs: map[orders.Provider]string{
		orders.Payment: down.URL, orders.Inventory: down.URL, orders.Shipping: down.URL, orders.Email: down.URL,
	}})
	require.NoError(t, err)
	t.Cleanup(o.providers.Close)
	return o
}

func (o *outbox) now() time.Time { return o.began.Add(time.Duration(o.ahead.Load())) }

func (o *outbox) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(o.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// start starts a process that fans out and sends, and returns what kills it.
func (o *outbox) start() (kill func()) {
	o.t.Helper()
	client, err := jobs.NewClient(jobs.Config{
		Pool: o.pool, Store: o.store, Logger: o.logger(), Now: o.now, Providers: o.providers,
		Webhooks: &jobs.Webhooks{Workers: o.workers, Sender: webhook.NewSender(webhook.Config{
			Policy:  webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			Timeout: o.timeout, Now: o.signing,
		})},
	})
	require.NoError(o.t, err)
	require.NoError(o.t, client.Start(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	fanOut := jobs.NewFanOut(o.store.Deliveries, o.logger(), nil)
	feed := store.NewFeed(o.pool, o.logger(), nil)
	feed.Subscribe(func([]store.Entry) { fanOut.Wake() })
	go func() {
		defer close(done)
		go feed.Run(ctx)
		fanOut.Run(ctx)
	}()
	kill = sync.OnceFunc(func() {
		cancel()
		<-done
		stopClient(client)
	})
	o.t.Cleanup(kill)
	return kill
}

func stopClient(client *jobs.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = client.StopAndCancel(ctx)
}

var shop = store.Owner{Principal: "shop"}

func (o *outbox) webhook(url string, change ...func(*store.NewWebhook)) store.Webhook {
	o.t.Helper()
	n := store.NewWebhook{Owner: shop, URL: url, Secret: webhook.NewSecret()}
	for _, f := range change {
		f(&n)
	}
	w, err := o.store.Webhooks.Make(o.t.Context(), n)
	require.NoError(o.t, err)
	return w
}

// order places an order for a customer and completes it: seven events.
func (o *outbox) order(customer string) orders.ID {
	o.t.Helper()
	p := storetest.Placement()
	p.CustomerID = customer
	placed, err := o.store.Orders.Place(o.t.Context(), []orders.Placement{p})
	require.NoError(o.t, err)
	id := placed[0].Order.ID
	for _, step := range []orders.StepName{
		orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping, orders.CapturePayment,
		orders.BookShipment, orders.SendEmail,
	} {
		_, err := o.store.Orders.Apply(o.t.Context(), []orders.Event{storetest.Outcome(id, step, orders.StepSucceeded)})
		require.NoError(o.t, err)
	}
	return id
}

func (o *outbox) deliveries(w store.Webhook, state store.DeliveryState) []store.Delivery {
	o.t.Helper()
	list, err := o.store.Deliveries.List(o.t.Context(), store.Owner{All: true}, w.ID,
		store.DeliveryFilter{State: state, Limit: 10_000})
	require.NoError(o.t, err)
	slices.Reverse(list)
	return list
}

// awaitLog waits until so many events can be read: when older transactions are over, also those of other tests.
func (o *outbox) awaitLog(events int) {
	o.t.Helper()
	o.eventually("the log", func() bool {
		start, err := o.store.Log.Start(o.t.Context())
		require.NoError(o.t, err)
		entries, _, _, err := o.store.Log.Read(o.t.Context(), start, store.LogFilter{}, 100)
		require.NoError(o.t, err)
		return len(entries) == events
	})
}

func (o *outbox) read(w store.Webhook) store.Webhook {
	o.t.Helper()
	w, err := o.store.Webhooks.Get(o.t.Context(), shop, w.ID)
	require.NoError(o.t, err)
	return w
}

func (o *outbox) eventually(what string, condition func() bool) {
	o.t.Helper()
	require.Eventually(o.t, condition, time.Minute, 20*time.Millisecond, "waiting for %s", what)
}

// received is a message as its receiver has it.
type received struct {
	id      string
	order   string
	version int64
	prev    string
	kind    string
	header  http.Header
	body    string
}

// receiver is a webhook's other end. answer may be nil.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	journal []received
	answer  func(w http.ResponseWriter, m received)
}

func newReceiver(t *testing.T, answer func(http.ResponseWriter, received)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	b, _ := io.ReadAll(request.Body)
	var body struct {
		Type string
		Data struct {
			OrderID         string
			Version         int64
			PreviousEventID string
		}
	}
	_ = json.Unmarshal(b, &body)
	m := received{
		id: request.Header.Get("webhook-id"), order: body.Data.OrderID, version: body.Data.Version,
		prev: body.Data.PreviousEventID, kind: body.Type, header: request.Header, body: string(b),
	}
	if r.answer != nil {
		r.answer(w, m)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal = append(r.journal, m)
}

func (r *receiver) messages() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.journal)
}

// Every event of the orders that a webhook may hear of arrives, in each order's sequence, with the right names.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	all, own, placed := newReceiver(t, nil), newReceiver(t, nil), newReceiver(t, nil)
	o.order("before") // no webhook hears of it
	o.awaitLog(7)
	o.webhook(all.URL)
	o.webhook(own.URL, func(n *store.NewWebhook) { n.CustomerID = "ada" })
	o.webhook(placed.URL, func(n *store.NewWebhook) { n.EventTypes = []string{"OrderCreated"} })
	o.start()
	first, second := o.order("ada"), o.order("linus")

	o.eventually("all messages", func() bool {
		return len(all.messages()) == 14 && len(own.messages()) == 7 && len(placed.messages()) == 2
	})
	last := map[string]received{}
	for _, m := range all.messages() {
		require.Equal(t, last[m.order].version+1, m.version)
		require.Equal(t, last[m.order].id, m.prev)
		last[m.order] = m
	}
	require.Contains(t, last, first.String())
	require.Contains(t, last, second.String())
	for _, m := range own.messages() {
		require.Equal(t, first.String(), m.order)
	}
	for _, m := range placed.messages() {
		require.Equal(t, "OrderCreated", m.kind)
	}
}

// A process that is killed at any moment loses nothing: what the receivers have is what the log has.
func TestWebhooksSurviveKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := newOutbox(t)
	var flaky atomic.Int64
	all := newReceiver(t, func(w http.ResponseWriter, _ received) {
		if flaky.Add(1)%11 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	o.webhook(all.URL)
	other := o.start() // two processes do the same work
	const n = 30
	ids := map[string]bool{}
	for i := range n {
		kill := o.start()
		ids[o.order("1").String()] = true
		if random.IntN(2) == 0 {
			kill()
		} else {
			defer kill()
		}
		if i == n/2 {
			other()
		}
		o.ahead.Add(int64(10 * time.Second)) // for the retries
	}
	o.start()
	complete := func() bool {
		o.ahead.Add(int64(30 * time.Second)) // claims of who was killed end
		got := map[string]map[int64]string{}
		for _, m := range all.messages() {
			if got[m.order] == nil {
				got[m.order] = map[int64]string{}
			}
			if id, ok := got[m.order][m.version]; ok && id != m.id {
				t.Errorf("version %d of %s has two ids", m.version, m.order)
			}
			got[m.order][m.version] = m.id
		}
		for id := range ids {
			if len(got[id]) != 7 {
				return false
			}
		}
		return len(got) == n
	}
	o.eventually("all messages", complete)
}

// A panic while a message is sent is a failure of that message: it ends neither the process nor the webhook's turns.
// The message is sent again.
func TestWebhookSenderPanics(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	o.workers = 1
	var panics atomic.Int64
	o.signing = func() time.Time {
		if panics.Add(1) == 1 {
			panic("test")
		}
		return o.now()
	}
	r := newReceiver(t, nil)
	w := o.webhook(r.URL)
	o.start()
	o.order("ada")
	o.eventually("all messages", func() bool {
		o.ahead.Add(int64(time.Second)) // for the retry
		return len(r.messages()) >= 7
	})
	o.eventually("the attempts", func() bool { return o.read(w).Failures == 0 })
	list, err := o.store.Deliveries.List(t.Context(), shop, w.ID, store.DeliveryFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, 2, list[len(list)-1].Attempts)
}

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

// During a rotation messages are signed with both secrets.
func TestWebhookRotation(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	r := newReceiver(t, nil)
	w := o.webhook(r.URL)
	before, now := webhook.Secret(w.Secret), webhook.NewSecret()
	_, err := o.store.Webhooks.Rotate(t.Context(), shop, w.ID, now, "", time.Hour)
	require.NoError(t, err)
	_, err = o.store.Webhooks.Rotate(t.Context(), shop, w.ID, webhook.NewSecret(), "", time.Hour)
	require.ErrorIs(t, err, store.ErrRotating)
	o.start()
	signatures := func(n int) string {
		storetest.Order(t, o.store)
		o.eventually("a message", func() bool { return len(o.deliveries(w, store.DeliveryDelivered)) == n })
		return r.messages()[n-1].header.Get("webhook-signature")
	}
	sign := func(s webhook.Secret, n int) string {
		m := r.messages()[n-1]
		var at int64
		_, err := fmt.Sscan(m.header.Get("webhook-timestamp"), &at)
		require.NoError(t, err)
		return s.Sign(m.id, time.Unix(at, 0), m.body)
	}
	got := signatures(1)
	require.Equal(t, sign(now, 1)+" "+sign(before, 1), got)
	o.ahead.Add(int64(time.Hour))
	got = signatures(2)
	require.Equal(t, sign(now, 2), got)
}
