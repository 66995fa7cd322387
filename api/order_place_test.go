package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func storeFilter() store.Filter { return store.Filter{Limit: 100} }

func quote(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	require.NoError(t, err)
	return string(b)
}

func TestPlace(t *testing.T) {
	t.Parallel()

	t.Run("Seed", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		got := h.do(t, http.MethodPost, "/api/orders", seedBody)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		o := got.order(t)
		require.Equal(t, "/api/orders/"+o.OrderID.String(), got.header.Get("Location"))
		require.Equal(t, `"1"`, got.header.Get("ETag"))
		require.Empty(t, got.header.Get("Idempotency-Replayed"))
		require.Equal(t, api.OrderStatus("pending"), o.Status)
		require.Contains(t, got.body, `"total":209.97`)
		require.Contains(t, got.body, `"price":149.99`)
		require.Contains(t, got.body, `"message":"Order is being processed"`)
		require.NotContains(t, got.body, "$schema")
		require.Len(t, o.Steps, 3)
		require.Regexp(t, `"createdAt":"[0-9T:.-]+Z"`, got.body)
		require.Equal(t, got.body, h.do(t, http.MethodGet, got.header.Get("Location"), "").body)
	})

	t.Run("EverythingSent", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		const body = `{"customerId":"c","currency":"JPY","paymentMethod":"card","total":1000.0,
			"items":[{"productId":7,"quantity":2,"price":500}],"shippingAddress":{"name":"Ada","line1":"1 Main St",
			"line2":"b","city":"Springfield","postalCode":"1","country":"US"}}`
		got := h.do(t, http.MethodPost, "/api/orders", body, "Content-Type", "application/json; charset=utf-8")
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Contains(t, got.body, `"total":1000,`)
		require.Contains(t, got.body, `"shippingAddress":{"name":"Ada","line1":"1 Main St","line2":"b","city":"Springfield",`+
			`"postalCode":"1","country":"US"}`)
	})

	// The largest amount has 16 digits, of which a float keeps 15 for certain.
	t.Run("ExactMoney", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		for _, amount := range []string{"90071992547409.91", "90071992547409.89", "0.01", "0.00", "1000000.10"} {
			got := h.do(t, http.MethodPost, "/api/orders",
				`{"customerId":"1","total":`+amount+`,"items":[{"productId":1,"quantity":1,"price":`+amount+`}]}`)
			require.Equal(t, http.StatusAccepted, got.status, got.body)
			require.Contains(t, got.body, `"total":`+amount+`,`)
			got = h.do(t, http.MethodGet, got.header.Get("Location"), "")
			require.Contains(t, got.body, `"price":`+amount+`}`)
		}
	})
}

func TestPlaceIdempotently(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	first := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", "a-1")
	require.Equal(t, http.StatusAccepted, first.status, first.body)
	h.apply(t, succeeded(first.order(t).OrderID, orders.AuthorizePayment)...)

	for _, key := range []string{"a-1", `"a-1"`, `"\a-1"`, `"a\-1"`} {
		again := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", key)
		if strings.Contains(key, `\`) {
			require.Equal(t, http.StatusBadRequest, again.status, "an escape that is none")
			continue
		}
		require.Equal(t, first.status, again.status)
		require.Equal(t, first.body, again.body)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, first.header.Get("ETag"), again.header.Get("ETag"))
		require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	}

	cheaper := strings.Replace(seedBody, "29.99", "29.98", 1)
	other := h.do(t, http.MethodPost, "/api/orders", cheaper, "Idempotency-Key", "a-1")
	require.Equal(t, http.StatusUnprocessableEntity, other.status)
	require.Equal(t, "idempotency_key_reused", other.problem(t).Code)

	longest := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", strings.Repeat("k", 255))
	require.Equal(t, http.StatusAccepted, longest.status)
}

func TestGet(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	o := storetest.Order(t, h.store)
	path := "/api/orders/" + o.ID.String()

	got := h.do(t, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, `"1"`, got.header.Get("ETag"))
	require.Equal(t, "private, no-cache", got.header.Get("Cache-Control"))

	for _, match := range []string{`"1"`, `W/"1"`, `*`, `"7", "1"`, `"7" ,W/"1"`} {
		got := h.do(t, http.MethodGet, path, "", "If-None-Match", match)
		require.Equal(t, http.StatusNotModified, got.status, match)
		require.Equal(t, `"1"`, got.header.Get("ETag"))
		require.Equal(t, "private, no-cache", got.header.Get("Cache-Control"))
		require.Empty(t, got.body)
	}
	for _, other := range []string{`"2"`, `1`, `"11"`, `""`} {
		require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, path, "", "If-None-Match", other).status, other)
	}

	// A different process has written, and the cache has not heard of it.
	quoted := storetest.Outcome(o.ID, orders.QuoteShipping, orders.StepSucceeded)
	_, err := h.store.Orders.Apply(t.Context(), []orders.Event{quoted})
	require.NoError(t, err)
	got = h.do(t, http.MethodGet, path, "", "Minimum-Version", "2")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, `"2"`, got.header.Get("ETag"))
	got = h.do(t, http.MethodGet, path, "", "Minimum-Version", "3")
	require.Equal(t, http.StatusPreconditionFailed, got.status)
	require.Contains(t, got.body, "version_not_reached")
	for _, bad := range []string{"0", "-1", "x", `"2"`} {
		got = h.do(t, http.MethodGet, path, "", "Minimum-Version", bad)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, bad)
	}

	head := h.do(t, http.MethodHead, path, "")
	require.Equal(t, http.StatusOK, head.status)
	require.NotEmpty(t, head.header.Get("ETag"))
	require.Empty(t, head.body)
}

func TestList(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	var want []orders.ID
	for i := range 7 {
		p := storetest.Placement()
		p.CustomerID = []string{"me & you", "other"}[i%2]
		placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		if i%2 == 0 {
			want = append([]orders.ID{placed[0].Order.ID}, want...)
		}
	}

	var got []orders.ID
	pages := 0
	path := "/api/orders?limit=2&status=pending&customerId=" + url.QueryEscape("me & you")
	for path != "" {
		pages++
		a := h.do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, a.status, a.body)
		var page api.OrderPage
		require.NoError(t, json.Unmarshal([]byte(a.body), &page))
		for _, o := range page.Orders {
			got = append(got, o.OrderID)
		}
		link := a.header.Get("Link")
		path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
		require.Equal(t, page.NextCursor != "", link != "")
		if link != "" {
			require.Contains(t, link, `; rel="next"`)
			require.Contains(t, link, page.NextCursor)
			other := h.do(t, http.MethodGet, "/api/orders?cursor="+page.NextCursor, "")
			require.Equal(t, http.StatusBadRequest, other.status, "a cursor of another list")
		}
	}
	require.Equal(t, want, got)
	require.Equal(t, 2, pages, "a last page that is full has no next one")

	empty := h.do(t, http.MethodGet, "/api/orders?customerId=unknown", "")
	require.JSONEq(t, `{"orders":[]}`, empty.body)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events func(orders.ID) []orders.Event
		want   int
	}{
		{"Pending", func(orders.ID) []orders.Event { return nil }, http.StatusAccepted},
		{"BeingCancelled", func(id orders.ID) []orders.Event {
			return []orders.Event{cancellation(id)}
		}, http.StatusAccepted},
		{"BeingUndone", func(id orders.ID) []orders.Event {
			return []orders.Event{storetest.Outcome(id, orders.AuthorizePayment, orders.StepRefused)}
		}, http.StatusAccepted},
		{"Cancelled", func(id orders.ID) []orders.Event {
			return append([]orders.Event{cancellation(id)},
				storetest.Outcome(id, orders.AuthorizePayment, orders.StepRefused),
				storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
				storetest.Outcome(id, orders.QuoteShipping, orders.StepRefused))
		}, http.StatusAccepted},
		{"Completed", completion, http.StatusConflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t))
			id := storetest.Order(t, h.store).ID
			path := "/api/orders/" + id.String()
			h.apply(t, tt.events(id)...)
			got := h.do(t, http.MethodPost, path+"/cancel", "")
			require.Equal(t, tt.want, got.status, got.body)
			if tt.want == http.StatusConflict {
				require.Equal(t, "order_not_cancellable", got.problem(t).Code)
				require.Contains(t, got.body, "completed")
				return
			}
			require.NotEmpty(t, got.order(t).Reason)
			now := h.do(t, http.MethodGet, path, "")
			require.Equal(t, got.header.Get("ETag"), now.header.Get("ETag"))
			require.Equal(t, got.body, now.body)
			require.Equal(t, got.body, h.do(t, http.MethodPost, path+"/cancel", "").body, "twice is harmless")
		})
	}
}

// The caller's own write is never hidden by the cache.
func TestCancelIsSeen(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
	require.Equal(t, `"1"`, h.do(t, http.MethodGet, path, "").header.Get("ETag"))
	require.Equal(t, http.StatusAccepted, h.do(t, http.MethodPost, path+"/cancel", "").status)
	require.Equal(t, `"2"`, h.do(t, http.MethodGet, path, "").header.Get("ETag"))
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id := storetest.Order(t, h.store).ID
	h.apply(t, succeeded(id, orders.AuthorizePayment, orders.ReserveInventory)...)
	h.apply(t, storetest.Outcome(id, orders.QuoteShipping, orders.StepRefused))
	path := "/api/orders/" + id.String() + "/events"

	read := func(query string) api.OrderEvents {
		got := h.do(t, http.MethodGet, path+query, "", "Accept", "*/*")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, "application/json", got.header.Get("Content-Type"))
		var list api.OrderEvents
		require.NoError(t, json.Unmarshal([]byte(got.body), &list))
		return list
	}
	list := read("")
	require.Len(t, list.Events, 4)
	types := make([]api.EventType, len(list.Events))
	for i, e := range list.Events {
		require.Equal(t, int64(i)+1, e.Version)
		types[i] = e.Type
	}
	require.Equal(t, []api.EventType{
		"OrderCreated", "OrderStatusUpdated", "OrderProcessingProgress", "OrderProcessingProgress",
	}, types)
	require.Equal(t, "Payment authorisation succeeded", list.Events[1].Message)
	require.Equal(t, 20, list.Events[1].Progress)
	require.Equal(t, "refused", list.Events[3].Reason)
	require.Len(t, read("?after=2").Events, 2)
	require.Len(t, read("?after=1&limit=1").Events, 1)
	require.Empty(t, read("?after=99").Events)
}
