package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	const cause = "void_payment refused: refused"
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
	require.Equal(t, cause, letters.Groups[0].Cause)
	require.Equal(t, int64(3), letters.Groups[0].Orders)
	require.False(t, letters.Groups[0].FirstAt.After(letters.Groups[0].LastAt))
	require.Equal(t, "refund_payment unknown: unknown", letters.Groups[1].Cause)

	var page api.OrderPage
	path := "/api/dead-letters/orders?limit=2&cause=" + url.QueryEscape(cause)
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
	require.Equal(t, int64(3), redrive(`{"dryRun":true,"reason":"r","cause":"`+cause+`"}`).Orders)
	require.Equal(t, int64(1), redrive(`{"dryRun":true,"reason":"r","orderIds":["`+ids[1].String()+`"]}`).Orders)

	jobs := func() (n int) {
		require.NoError(t, h.pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE kind = 'redrive'").Scan(&n))
		return n
	}
	require.Zero(t, jobs(), "a dry run does nothing")
	require.False(t, redrive(`{"reason":"r"}`).DryRun)
	require.Equal(t, 1, jobs())
	require.Equal(t, http.StatusUnprocessableEntity,
		h.do(t, http.MethodPost, "/api/dead-letters/redrive", `{"cause":"c"}`).status, "it needs a reason")
	for body, wrong := range map[string]string{
		`{"reason":"r","orderIds":[]}`: "body.orderIds", // nobody's are not everybody's
		`{"reason":"r","cause":""}`:    "body.cause",
		`{"reason":"r","orderIds":["0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e","1"]}`: "body.orderIds[1]",
	} {
		problem := h.do(t, http.MethodPost, "/api/dead-letters/redrive", body).problem(t)
		require.Equal(t, http.StatusUnprocessableEntity, problem.Status)
		require.Equal(t, wrong, problem.Errors[0].Location)
	}
	require.Equal(t, 1, jobs())
}
