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

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	var ids []orders.ID
	for range 3 {
		id, _ := h.attention(t)
		ids = append(ids, id)
	}
	unanswered, _ := h.completed(t)
	h.apply(t, orders.Event{OrderID: unanswered, Kind: orders.RefundRequested},
		storetest.Outcome(unanswered, orders.RefundPayment, orders.StepUnknown))
	h.completed(t)

	var letters api.DeadLetters
	got := h.do(t, http.MethodGet, "/api/dead-letters", "")
	require.NoError(t, json.Unmarshal([]byte(got.body), &letters))
	require.Len(t, letters.Groups, 2)
	refused := letters.Groups[0]
	refused.FirstAt, refused.LastAt = time.Time{}, time.Time{}
	require.Equal(t, api.DeadLetterGroup{
		Step: "void_payment", State: "refused", Code: "refused", Reason: "void_payment refused: refused", Orders: 3,
	}, refused)
	require.False(t, letters.Groups[0].FirstAt.After(letters.Groups[0].LastAt))
	require.Equal(t, api.StepName("refund_payment"), letters.Groups[1].Step)
	require.Equal(t, api.StepState("unknown"), letters.Groups[1].State)

	var page api.OrderPage
	path := "/api/dead-letters/orders?limit=2&step=void_payment&state=refused&code=refused"
	for _, n := range []int{2, 1} {
		got = h.do(t, http.MethodGet, path, "")
		page = api.OrderPage{}
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		require.Len(t, page.Orders, n)
		for _, o := range page.Orders {
			require.Contains(t, ids, o.OrderID)
		}
		path += "&cursor=" + page.NextCursor
	}
	require.Empty(t, page.NextCursor)
	for filter, n := range map[string]int{
		"step=void_payment": 3, "state=unknown": 1, "code=refused": 3, "step=void_payment&state=unknown": 0, "": 4,
	} {
		got = h.do(t, http.MethodGet, "/api/dead-letters/orders?"+filter, "")
		page = api.OrderPage{}
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		require.Len(t, page.Orders, n, filter)
	}
	first := h.do(t, http.MethodGet, "/api/dead-letters/orders?limit=1&step=void_payment", "")
	require.Contains(t, first.header.Get("Link"), "step=void_payment", "the next page is of the same step")

	redrive := func(body string) (r api.RedriveResult) {
		t.Helper()
		got := h.do(t, http.MethodPost, "/api/dead-letters/redrive", body)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.NoError(t, json.Unmarshal([]byte(got.body), &r))
		return r
	}
	all := redrive(`{"dryRun":true,"reason":"r"}`)
	require.Equal(t, int64(4), all.Orders)
	require.Len(t, all.First, 4)
	require.Equal(t, api.RedriveOrder{
		OrderID: ids[0], Steps: []api.RedriveStep{{Step: "void_payment", Generation: 2}},
	}, all.First[0])
	require.Equal(t, api.RedriveOrder{
		OrderID: unanswered, Steps: []api.RedriveStep{{Step: "refund_payment", Generation: 2, AsksFirst: true}},
	}, all.First[3])
	require.Equal(t, int64(3), redrive(`{"dryRun":true,"reason":"r","step":"void_payment","state":"refused"}`).Orders)
	require.Equal(t, int64(1), redrive(`{"dryRun":true,"reason":"r","code":"unknown"}`).Orders)
	require.Zero(t, redrive(`{"dryRun":true,"reason":"r","step":"void_payment","code":"unknown"}`).Orders)
	require.Equal(t, int64(1), redrive(`{"dryRun":true,"reason":"r","orderIds":["`+ids[1].String()+`"]}`).Orders)

	jobs := func() (n int) {
		require.NoError(t, h.pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE kind = 'redrive'").Scan(&n))
		return n
	}
	require.Zero(t, jobs(), "a dry run does nothing")
	require.False(t, redrive(`{"reason":"r"}`).DryRun)
	require.Equal(t, 1, jobs())
	require.Equal(t, http.StatusUnprocessableEntity,
		h.do(t, http.MethodPost, "/api/dead-letters/redrive", `{"code":"c"}`).status, "it needs a reason")
	for body, wrong := range map[string]string{
		`{"reason":"r","orderIds":[]}`: "body.orderIds", // an empty list does not mean all orders
		`{"reason":"r","code":""}`:     "body.code",
		`{"reason":"r","step":""}`:     "body.step",
		`{"reason":"r","state":"no"}`:  "body.state",
		`{"reason":"r","orderIds":["0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e","1"]}`: "body.orderIds[1]",
	} {
		problem := h.do(t, http.MethodPost, "/api/dead-letters/redrive", body).problem(t)
		require.Equal(t, http.StatusUnprocessableEntity, problem.Status)
		require.Equal(t, wrong, problem.Errors[0].Location)
	}
	require.Equal(t, 1, jobs())
}
