package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// attention makes an order of the example's customer whose payment could not be voided, and returns its path.
func (h *harness) attention(t *testing.T) (orders.ID, string) {
	t.Helper()
	id := h.placeFor(t, ownCustomer)
	h.apply(t, append(succeeded(id, orders.AuthorizePayment, orders.QuoteShipping),
		storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(id, orders.VoidPayment, orders.StepRefused))...)
	return id, "/api/orders/" + id.String()
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body    string
		status  api.OrderStatus
		pending orders.StepName
	}{
		"Retry": {`{"action":"retry","reason":"fixed"}`, "processing", orders.VoidPayment},
		"RetryOne": {
			`{"action":"retry","step":"void_payment","generation":1,"reason":"fixed"}`,
			"processing", orders.VoidPayment,
		},
		"Compensate": {`{"action":"compensate","reason":"fixed"}`, "processing", orders.VoidPayment},
		"Accept": {
			`{"action":"accept","outcome":"succeeded","reference":"v_1","reason":"expired by itself"}`,
			"failed", orders.SendEmail,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t))
			id, path := h.attention(t)
			header := []string{"If-Match", `"5"`, "Idempotency-Key", name} // the others would wait for the same one
			first := h.do(t, http.MethodPost, path+"/settle", tt.body, header...)
			require.Equal(t, http.StatusAccepted, first.status, first.body)
			require.Equal(t, `"6"`, first.header.Get("ETag"))
			require.Equal(t, tt.status, first.order(t).Status)
			again := h.do(t, http.MethodPost, path+"/settle", tt.body, header...)
			require.Equal(t, first.body, again.body)
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
			other := h.do(t, http.MethodPost, path+"/settle", `{"action":"retry","reason":"other"}`, header...)
			require.Equal(t, "idempotency_key_reused", other.problem(t).Code)

			order, err := h.store.Orders.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, orders.StatePending, order.Latest(tt.pending).State)
		})
	}

	for name, tt := range map[string]struct{ body, location string }{
		"UnstorableReason":    {`{"action":"retry","reason":"\u0000"}`, "body.reason"},
		"NoReason":            {`{"action":"retry"}`, "body"},
		"UnknownAction":       {`{"action":"forget","reason":"r"}`, "body.action"},
		"NoOutcome":           {`{"action":"accept","reason":"r"}`, "body.outcome"},
		"PendingOutcome":      {`{"action":"accept","outcome":"pending","reason":"r"}`, "body.outcome"},
		"OutcomeOfRetry":      {`{"action":"retry","outcome":"succeeded","reason":"r"}`, "body.outcome"},
		"StepOfCompensate":    {`{"action":"compensate","step":"void_payment","reason":"r"}`, "body.step"},
		"GenerationOfNothing": {`{"action":"retry","generation":1,"reason":"r"}`, "body.generation"},
		"NotStuck":            {`{"action":"retry","step":"refund_payment","reason":"r"}`, "body.step"},
		"RefusedAlready":      {`{"action":"accept","outcome":"refused","reason":"r"}`, "body.outcome"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := serve(t, storetest.Tx(t))
			_, path := h.attention(t)
			got := h.do(t, http.MethodPost, path+"/settle", tt.body)
			require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
			require.Contains(t, got.problem(t).Errors[0].Location, tt.location)
			require.Equal(t, `"5"`, h.do(t, http.MethodGet, path, "").header.Get("ETag"), "nothing was done")
		})
	}

	// An order that has failed, whose reservation was refused and is there nevertheless.
	t.Run("TookEffectAfterAll", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		id := h.placeFor(t, ownCustomer)
		h.apply(t, append(succeeded(id, orders.AuthorizePayment, orders.QuoteShipping),
			storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
			storetest.Outcome(id, orders.VoidPayment, orders.StepSucceeded))...)
		path := "/api/orders/" + id.String()
		settle := func(body string) answer { return h.do(t, http.MethodPost, path+"/settle", body) }
		for _, body := range []string{
			`{"action":"accept","outcome":"succeeded","reason":"which?"}`,
			`{"action":"accept","step":"reserve_inventory","outcome":"refused","reason":"it was"}`,
			`{"action":"accept","step":"authorize_payment","outcome":"succeeded","reason":"it is undone"}`,
			`{"action":"retry","reason":"r"}`,
		} {
			require.Equal(t, "order_not_settleable", settle(body).problem(t).Code, body)
		}
		got := settle(`{"action":"accept","step":"reserve_inventory","outcome":"succeeded","reason":"it is there"}`)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.EqualValues(t, "processing", got.order(t).Status)
		order, err := h.store.Orders.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, orders.StatePending, order.Latest(orders.ReleaseInventory).State)
	})

	t.Run("NeedsNoAttention", func(t *testing.T) {
		t.Parallel()
		h := serve(t, storetest.Tx(t))
		path := "/api/orders/" + storetest.Order(t, h.store).ID.String()
		got := h.do(t, http.MethodPost, path+"/settle", `{"action":"retry","reason":"r"}`)
		require.Equal(t, http.StatusConflict, got.status)
		require.Equal(t, "order_not_settleable", got.problem(t).Code)
	})
}

// The order's history names the operator that settled it and the reason. Its customer sees the reason only. The audit
// log has both.
func TestSettlingIsOnRecord(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	id, path := h.attention(t)
	as := func(role roles.Role) []string { return []string{"Authorization", "Bearer " + keys[role]} }
	body := `{"action":"accept","outcome":"succeeded","reason":"called the bank"}`
	for _, role := range []roles.Role{roles.Viewer, roles.Service, roles.Customer} {
		require.Equal(t, http.StatusForbidden, h.do(t, http.MethodPost, path+"/settle", body, as(role)...).status)
	}
	require.Equal(t, http.StatusAccepted, h.do(t, http.MethodPost, path+"/settle", body, as(roles.Operator)...).status)

	actor := keys[roles.Operator][3:15]
	log, err := h.store.Audit.List(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []string{actor, "settleOrder", id.String()}, []string{log[0].Name, log[0].Action, log[0].Target})
	h.apply(t, storetest.Outcome(id, orders.SendEmail, orders.StepSucceeded)) // so that the stream ends
	for _, accept := range []string{"application/json", "text/event-stream"} {
		got := h.do(t, http.MethodGet, path+"/events?after=5", "", append(as(roles.Viewer), "Accept", accept)...)
		require.Contains(t, got.body, `"actor":"`+actor+`"`)
		got = h.do(t, http.MethodGet, path+"/events?after=5", "", append(as(roles.Customer), "Accept", accept)...)
		require.Contains(t, got.body, "called the bank")
		require.NotContains(t, got.body, actor)
	}
}
