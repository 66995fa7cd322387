package client_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/client"
)

// These tests run the client against the real server.

func connect(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(os.Getenv("MILLRACE_URL"))
	require.NoError(t, err)
	return c
}

func orderOf(customer string) client.NewOrder {
	return client.NewOrder{
		CustomerID: customer,
		Items:      []client.Item{{ProductID: 1, Quantity: 2, Price: client.MustAmount("29.99")}},
	}
}

func TestEverythingSent(t *testing.T) {
	t.Parallel()
	c, total := connect(t), client.MustAmount("59.98")
	sent := orderOf("everything")
	sent.Currency, sent.PaymentMethod, sent.Total = "USD", "card", &total
	sent.CustomerEmail = "ada@example.com"
	sent.ShippingAddress = &client.Address{
		Name: "Ada", Line1: "1 Main St", Line2: "2nd floor", City: "Springfield", PostalCode: "12345", Country: "US",
	}
	placed, err := c.Place(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, int64(1), placed.Version)
	require.False(t, placed.Replayed)

	got, err := c.Wait(t.Context(), placed.ID)
	require.NoError(t, err)
	require.Equal(t, client.Completed, got.Status, got.Reason)
	require.Equal(t, 100, got.Progress)
	require.Equal(t, sent.ShippingAddress, got.ShippingAddress)
	require.Equal(t, "59.98", got.Total.String())
	require.Equal(t, "29.99", got.Items[0].Price.String())
	require.Equal(t, []any{"everything", "USD", "card"}, []any{got.CustomerID, got.Currency, got.PaymentMethod})
	require.NotEmpty(t, got.Steps)
	require.NotEmpty(t, got.Steps[0].Reference)
	require.WithinRange(t, got.Steps[0].SettledAt, got.CreatedAt, time.Now())

	_, err = c.Cancel(t.Context(), got.ID)
	require.True(t, client.IsConflict(err), "%v", err)
	require.ErrorContains(t, err, "409 Conflict")
}

func TestConditions(t *testing.T) {
	t.Parallel()
	c := connect(t)
	order, err := c.Place(t.Context(), orderOf("conditions"))
	require.NoError(t, err)
	for _, err := range c.Events(t.Context(), order.ID, 0) { // until the order is finished
		require.NoError(t, err)
	}
	order, err = c.Order(t.Context(), order.ID)
	require.NoError(t, err)
	_, err = c.Order(t.Context(), order.ID, client.WithIfNoneMatch(order.Version))
	require.ErrorIs(t, err, client.ErrNotModified)
	_, err = c.Order(t.Context(), order.ID, client.WithMinimumVersion(order.Version))
	require.NoError(t, err)
	_, err = c.Order(t.Context(), order.ID, client.WithMinimumVersion(order.Version+1000))
	require.Error(t, err, "it has not had that version")
	_, err = c.Order(t.Context(), order.ID, client.WithIfNoneMatch(order.Version-1))
	require.NoError(t, err)

	_, err = c.Order(t.Context(), "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e")
	require.True(t, client.IsNotFound(err), "%v", err)
	for _, err := range c.Events(t.Context(), "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", 0) {
		require.True(t, client.IsNotFound(err), "%v", err)
	}
}

func TestFilterByTime(t *testing.T) {
	t.Parallel()
	c := connect(t)
	var placed []*client.Order
	for range 3 {
		order, err := c.Place(t.Context(), orderOf("by time"))
		require.NoError(t, err)
		placed = append(placed, order)
	}
	filter := client.Filter{CustomerID: "by time", PageSize: 1, From: placed[0].CreatedAt, To: placed[2].CreatedAt}
	var found []string
	for order, err := range c.Orders(t.Context(), filter) {
		require.NoError(t, err)
		found = append(found, order.ID)
	}
	require.Equal(t, []string{placed[1].ID, placed[0].ID}, found)
}

// TestLostAnswers places orders through a proxy that forwards every request and cuts off the first answer about an
// order in the middle. There must be one order for each call.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	const all = 20
	customer := fmt.Sprint("unlucky at ", time.Now())
	c := throughProxy(t, func(w http.ResponseWriter, answer *http.Response) {
		if answer.StatusCode == http.StatusAccepted && answer.Header.Get("Idempotency-Replayed") == "" {
			w.Header().Set("Content-Length", "100000")
			w.WriteHeader(answer.StatusCode)
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		}
	})
	ids := map[string]bool{}
	for range all {
		order, err := c.Place(t.Context(), orderOf(customer))
		require.NoError(t, err)
		require.True(t, order.Replayed)
		ids[order.ID] = true
	}
	require.Len(t, ids, all)
	listed := 0
	for order, err := range connect(t).Orders(t.Context(), client.Filter{CustomerID: customer, PageSize: 7}) {
		require.NoError(t, err)
		require.True(t, ids[order.ID])
		listed++
	}
	require.Equal(t, all, listed)
}

// TestCutStream follows an order through a proxy that ends every connection after two events.
func TestCutStream(t *testing.T) {
	t.Parallel()
	c := throughProxy(t, cutAfter(2))
	order, err := c.Place(t.Context(), orderOf("cut"))
	require.NoError(t, err)
	var version int64
	for event, err := range c.Events(t.Context(), order.ID, 0) {
		require.NoError(t, err)
		version++
		require.Equal(t, version, event.Version)
	}
	got, err := c.Order(t.Context(), order.ID)
	require.NoError(t, err)
	require.Equal(t, client.Completed, got.Status)
	require.Equal(t, got.Version, version)
}

// cutAfter breaks an event stream off after n events.
func cutAfter(n int) func(http.ResponseWriter, *http.Response) {
	return func(w http.ResponseWriter, answer *http.Response) {
		if answer.Header.Get("Content-Type") != "text/event-stream" {
			return
		}
		w.WriteHeader(answer.StatusCode)
		lines := bufio.NewScanner(answer.Body)
		for events := 0; lines.Scan(); {
			line := lines.Text()
			if line == "retry: 1000" {
				line = "retry: 1"
			}
			if len(line) > 3 && line[:3] == "id:" {
				events++
			}
			if events > n {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write([]byte(line + "\n"))
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// throughProxy makes a client whose answers pass through spoil after the server has given them. If spoil writes
// nothing, they arrive unchanged.
func throughProxy(t *testing.T, spoil func(w http.ResponseWriter, answer *http.Response)) *client.Client {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, os.Getenv("MILLRACE_URL")+r.URL.String(), r.Body)
		if err != nil {
			panic(err)
		}
		out.Header = r.Header.Clone()
		answer, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		for name := range answer.Header {
			w.Header().Set(name, answer.Header.Get(name))
		}
		spoil(w, answer)
		w.WriteHeader(answer.StatusCode)
		_, _ = bufio.NewReader(answer.Body).WriteTo(w)
	}))
	t.Cleanup(proxy.Close)
	c, err := client.New(proxy.URL)
	require.NoError(t, err)
	return c
}

func TestRefund(t *testing.T) {
	t.Parallel()
	c := connect(t)
	order, err := c.Place(t.Context(), orderOf("refund"))
	require.NoError(t, err)
	order, err = c.Wait(t.Context(), order.ID)
	require.NoError(t, err)

	_, err = c.Refund(t.Context(), order.ID, client.MustAmount("9.98"), client.WithIfMatch(1))
	require.True(t, client.IsStale(err), "%v", err)
	for _, replayed := range []bool{false, true} {
		refund, err := c.Refund(t.Context(), order.ID, client.MustAmount("9.98"),
			client.WithIdempotencyKey("some-of-"+order.ID))
		require.NoError(t, err)
		require.Equal(t, replayed, refund.Replayed)
		require.Equal(t, "9.98", refund.Amount.String())
		require.Equal(t, 1, refund.Generation)
	}
	refund, err := c.RefundAll(t.Context(), order.ID)
	require.NoError(t, err)
	require.Equal(t, "50.00", refund.Amount.String())
	require.True(t, refund.Refundable.IsZero())
	_, err = c.Refund(t.Context(), order.ID, client.MustAmount("0.01"))
	require.Error(t, err)
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	c := connect(t)
	customer := fmt.Sprint("written to at ", time.Now())
	var placed []string
	for range 3 {
		order := orderOf(customer)
		order.CustomerEmail = "ada@example.com"
		stored, err := c.Place(t.Context(), order)
		require.NoError(t, err)
		placed = append(placed, stored.ID)
	}
	var found []*client.Notification
	require.Eventually(t, func() bool {
		found = nil
		for n, err := range c.Notifications(t.Context(), client.NotificationFilter{CustomerID: customer, PageSize: 2}) {
			if err != nil || n.State != "sent" {
				return false
			}
			found = append(found, n)
		}
		return len(found) == len(placed)
	}, 60*time.Second, 50*time.Millisecond)
	for i, n := range found {
		require.Equal(t, placed[len(placed)-1-i], n.OrderID)
		require.Equal(t, "ada@example.com", n.Recipient)
		require.Equal(t, "order_completed", n.Template)
		require.False(t, n.SettledAt.IsZero())
	}
	for n, err := range c.Notifications(t.Context(), client.NotificationFilter{OrderID: placed[0]}) {
		require.NoError(t, err)
		require.Equal(t, placed[0], n.OrderID)
	}
	for _, err := range c.Notifications(t.Context(), client.NotificationFilter{OrderID: "x"}) {
		require.ErrorContains(t, err, "not a UUID")
	}
}

// TestFeed follows all events through a proxy that ends every connection after two events, and reads the same in pages.
func TestFeed(t *testing.T) {
	t.Parallel()
	const all = 5
	customer := fmt.Sprint("feed at ", time.Now())
	filter := client.FeedFilter{CustomerID: customer}
	direct := connect(t)
	end, err := direct.FeedPage(t.Context(), client.FeedEnd, filter, 0, 0)
	require.NoError(t, err)
	for range all {
		_, err := direct.Place(t.Context(), orderOf(customer))
		require.NoError(t, err)
	}

	c := throughProxy(t, cutAfter(2))
	versions, finished, cursors := map[string]int64{}, 0, []string{end.Next}
	for event, err := range c.Feed(t.Context(), end.Next, filter) {
		require.NoError(t, err)
		require.Equal(t, versions[event.OrderID]+1, event.Version)
		versions[event.OrderID], cursors = event.Version, append(cursors, event.Cursor)
		if event.Step == "send_email" {
			finished++
		}
		if finished == all {
			break
		}
	}
	require.Len(t, versions, all)

	read := 0
	for cursor := end.Next; read < len(cursors)-1; {
		page, err := direct.FeedPage(t.Context(), cursor, filter, 4, 20*time.Second)
		require.NoError(t, err)
		require.NotEmpty(t, page.Events)
		read, cursor = read+len(page.Events), page.Next
	}
	created, err := direct.FeedPage(t.Context(), end.Next,
		client.FeedFilter{CustomerID: customer, Types: []client.EventType{client.OrderCreated}}, 0, 0)
	require.NoError(t, err)
	require.Len(t, created.Events, all)

	const foreign = "7fffffff-1-1-1"
	for _, err := range c.Feed(t.Context(), foreign, filter) {
		var resync *client.ResyncError
		require.ErrorAs(t, err, &resync)
		page, err := direct.FeedPage(t.Context(), resync.Cursor, filter, 0, 0)
		require.NoError(t, err)
		require.Empty(t, page.Events)
	}
	_, err = direct.FeedPage(t.Context(), foreign, filter, 0, 0)
	require.ErrorAs(t, err, new(*client.ResyncError))

	anything, err := direct.StreamTicket(t.Context())
	require.NoError(t, err)
	own, err := direct.CustomerTicket(t.Context(), customer)
	require.NoError(t, err)
	for _, ticket := range []*client.Ticket{anything, own} {
		require.WithinRange(t, ticket.ExpiresAt, time.Now(), time.Now().Add(2*time.Minute))
	}
	_, err = direct.CustomerTicket(t.Context(), "")
	require.Error(t, err)
}
