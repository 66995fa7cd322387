package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
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
