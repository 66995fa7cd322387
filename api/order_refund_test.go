package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// completed makes an order that was paid and shipped and returns its path.
func (h *harness) completed(t *testing.T) (orders.ID, string) {
	t.Helper()
	id := storetest.Order(t, h.store).ID
	h.apply(t, completion(id)...)
	return id, "/api/orders/" + id.String()
}

func TestRefund(t *testing.T) {
	t.Parallel()
	decode := func(t *testing.T, a answer) (r api.Refund) {
		t.Helper()
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		require.NoError(t, json.Unmarshal([]byte(a.body), &r))
		return r
	}

	t.Run("InParts", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		id, path := h.completed(t)
		first := h.do(t, http.MethodPost, path+"/refunds", `{"amount":9.97}`)
		require.Equal(t, api.Refund{
			OrderID: id, Generation: 1, Amount: "9.97", Currency: "USD", State: "pending", Refundable: "200.00",
			Message: "9.97 USD will be given back",
		}, decode(t, first))
		rest := decode(t, h.do(t, http.MethodPost, path+"/refunds", `{}`))
		require.Equal(t, api.Amount("200.00"), rest.Amount)
		require.Equal(t, api.Amount("0.00"), rest.Refundable)

		second := storetest.Outcome(id, orders.RefundPayment, orders.StepSucceeded)
		second.Generation = 2
		h.apply(t, storetest.Outcome(id, orders.RefundPayment, orders.StepSucceeded), second)
		order := h.do(t, http.MethodGet, path, "").order(t)
		require.Equal(t, api.OrderStatus("refunded"), order.Status)
		require.Equal(t, api.Amount("209.97"), order.Refunded)
	})

	t.Run("AllWithoutABody", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		_, path := h.completed(t)
		require.Equal(t, api.Amount("209.97"), decode(t, h.do(t, http.MethodPost, path+"/refunds", "")).Amount)
	})

	t.Run("OnceAKey", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		_, path := h.completed(t)
		first := h.do(t, http.MethodPost, path+"/refunds", `{"amount":1}`, "Idempotency-Key", "k")
		again := h.do(t, http.MethodPost, path+"/refunds", `{"amount":1.00}`, "Idempotency-Key", `"k"`)
		require.Equal(t, first.body, again.body)
		require.Equal(t, first.header.Get("ETag"), again.header.Get("ETag"))
		require.Empty(t, first.header.Get("Idempotency-Replayed"))
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		other := h.do(t, http.MethodPost, path+"/refunds", `{"amount":2}`, "Idempotency-Key", "k")
		require.Equal(t, http.StatusUnprocessableEntity, other.status)
		require.Equal(t, "idempotency_key_reused", other.problem(t).Code)
		require.Equal(t, api.Amount("207.97"),
			decode(t, h.do(t, http.MethodPost, path+"/refunds", `{"amount":1}`, "Idempotency-Key", "other")).Refundable)
	})

	// A key is good for a week, whatever became of the log, and answers with the refund that it asked for.
	t.Run("OfAnOldOrder", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		id, path := h.completed(t)
		_, err := h.pool.Exec(t.Context(), "DELETE FROM millrace.order_events WHERE order_id = $1", id)
		require.NoError(t, err)
		first := h.do(t, http.MethodPost, path+"/refunds", `{"amount":1}`, "Idempotency-Key", "a")
		second := h.do(t, http.MethodPost, path+"/refunds", `{"amount":2}`, "Idempotency-Key", "b")
		require.NotEqual(t, first.body, second.body)
		h.apply(t, storetest.Outcome(id, orders.RefundPayment, orders.StepSucceeded))
		_, err = h.pool.Exec(t.Context(), "DELETE FROM millrace.order_events WHERE order_id = $1", id)
		require.NoError(t, err)
		for key, asked := range map[string]answer{"a": first, "b": second} {
			amount := string(decode(t, asked).Amount)
			again := h.do(t, http.MethodPost, path+"/refunds", `{"amount":`+amount+`}`, "Idempotency-Key", key)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			require.Equal(t, asked.header.Get("ETag"), again.header.Get("ETag"))
			require.Equal(t, asked.body, again.body)
		}
	})

	t.Run("TooMany", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		id, path := h.completed(t)
		events := make([]orders.Event, orders.MaxRefunds)
		for i := range events {
			events[i] = orders.Event{OrderID: id, Kind: orders.RefundRequested, Amount: 1, At: time.Now()}
		}
		_, err := h.store.Orders.Apply(t.Context(), events)
		require.NoError(t, err)
		got := h.do(t, http.MethodPost, path+"/refunds", `{"amount":0.01}`)
		require.Equal(t, http.StatusConflict, got.status, got.body)
		require.Equal(t, "too_many_refunds", got.problem(t).Code)
		require.Contains(t, got.body, "at most 100 refunds")
	})

	for name, tt := range map[string]struct {
		body, location string
		status         int
	}{
		"TooMuch":      {`{"amount":209.98}`, "body.amount", http.StatusUnprocessableEntity},
		"Nothing":      {`{"amount":0}`, "body.amount", http.StatusUnprocessableEntity},
		"Negative":     {`{"amount":-1}`, "body.amount", http.StatusUnprocessableEntity},
		"Decimals":     {`{"amount":0.001}`, "body.amount", http.StatusUnprocessableEntity},
		"Text":         {`{"amount":"1"}`, "body.amount", http.StatusUnprocessableEntity},
		"UnknownField": {`{"sum":1}`, "body", http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t))
			_, path := h.completed(t)
			got := h.do(t, http.MethodPost, path+"/refunds", tt.body)
			require.Equal(t, tt.status, got.status, got.body)
			require.Contains(t, got.problem(t).Errors[0].Location, tt.location)
			noLeak(t, got.body)
			require.Equal(t, api.Amount("0.00"), h.do(t, http.MethodGet, path, "").order(t).Refunded)
		})
	}

	t.Run("NotCompleted", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
		got := h.do(t, http.MethodPost, path+"/refunds", `{"amount":1}`)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "order_not_refundable", got.problem(t).Code)
		missing := h.do(t, http.MethodPost, "/api/orders/"+orders.NewID().String()+"/refunds", `{"amount":1}`)
		require.Equal(t, http.StatusNotFound, missing.status)
	})
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header string
		want   int
	}{
		"Current":   {`"1"`, http.StatusAccepted},
		"Any":       {`*`, http.StatusAccepted},
		"Old":       {`"2"`, http.StatusPreconditionFailed},
		"Foreign":   {`"abc"`, http.StatusPreconditionFailed},
		"Weak":      {`W/"1"`, http.StatusPreconditionFailed},
		"Malformed": {`1`, http.StatusBadRequest},
		"List":      {`"7", "1"`, http.StatusAccepted},
		"ListOfOld": {`"2", "3"`, http.StatusPreconditionFailed},
		"WithWeak":  {`W/"1" , "1"`, http.StatusAccepted},
		"AllWeak":   {`W/"1", W/"2"`, http.StatusPreconditionFailed},
		"Gaps":      {`, ,"1",`, http.StatusAccepted},
		"Tight":     {"\"2\",\"1\"\t", http.StatusAccepted},
		"Comma":     {`"2,1"`, http.StatusPreconditionFailed},
		"CommaList": {`"2,1", "1"`, http.StatusAccepted},
		"NoNumber":  {`"01"`, http.StatusPreconditionFailed},
		"Sign":      {`"+1"`, http.StatusPreconditionFailed},
		"Empty":     {`""`, http.StatusPreconditionFailed},
		"AnyInList": {`*, "1"`, http.StatusBadRequest},
		"ListOfAny": {`"1", *`, http.StatusBadRequest},
		"OpenQuote": {`"1", "2`, http.StatusBadRequest},
		"NoComma":   {`"1" "2"`, http.StatusBadRequest},
		"OnlyComma": {`,`, http.StatusBadRequest},
		"SmallWeak": {`w/"1"`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t))
			path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
			got := h.do(t, http.MethodPost, path+"/cancel", "", "If-Match", tt.header)
			require.Equal(t, tt.want, got.status, got.body)
			if tt.want != http.StatusAccepted {
				require.NotEmpty(t, got.problem(t).Code)
				require.Equal(t, `"1"`, h.do(t, http.MethodGet, path, "").header.Get("ETag"), "nothing was done")
			}
		})
	}

	t.Run("Lines", func(t *testing.T) { // of one list
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+path+"/cancel", nil)
		require.NoError(t, err)
		r.Header["If-Match"] = []string{`"9"`, `"1"`}
		require.Equal(t, http.StatusAccepted, h.send(t, r).status)
		r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+path, nil)
		require.NoError(t, err)
		r.Header["If-None-Match"] = []string{`"9"`, `W/"2"`}
		require.Equal(t, http.StatusNotModified, h.send(t, r).status)
	})

	t.Run("ListUnderAKey", func(t *testing.T) { // the same list is the same request, another one is not
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
		for header, want := range map[string]int{
			`"1", "5"`: http.StatusAccepted, `"1","6"`: http.StatusUnprocessableEntity,
		} {
			first := h.do(t, http.MethodPost, path+"/cancel", "", "If-Match", `"1", "5"`, "Idempotency-Key", "k")
			require.Equal(t, http.StatusAccepted, first.status, first.body)
			require.Equal(t, want, h.do(t, http.MethodPost, path+"/cancel", "", "If-Match", header,
				"Idempotency-Key", "k").status)
		}
	})

	// A cancellation whose answer was lost is repeated with the same condition, which no longer holds.
	t.Run("RepeatedUnderAKey", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
		first := h.do(t, http.MethodPost, path+"/cancel", "", "If-Match", `"1"`, "Idempotency-Key", "k")
		again := h.do(t, http.MethodPost, path+"/cancel", "", "If-Match", `"1"`, "Idempotency-Key", "k")
		require.Equal(t, http.StatusAccepted, again.status, again.body)
		require.Equal(t, first.body, again.body)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	})
}
