package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// An operator pauses a lane: the process that answers knows at once, and the status says why and until when.
func TestLanes(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	lanes := decode[api.Lanes](t, h.do(t, http.MethodGet, "/api/system/lanes", "")).Lanes
	require.Len(t, lanes, 4)
	for i, name := range []string{"email", "inventory", "payment", "shipping"} {
		require.Equal(t, name, lanes[i].Lane)
		require.False(t, lanes[i].Paused)
	}

	until := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	body := `{"reason":"The bank is moving","until":"` + until.Format(time.RFC3339) + `"}`
	lane := decode[api.Lane](t, h.do(t, http.MethodPost, "/api/system/lanes/payment/pause", body))
	require.True(t, lane.Paused)
	require.Equal(t, "The bank is moving", lane.Pause.Reason)
	require.Equal(t, "dev", lane.Pause.By)
	require.Equal(t, until, lane.Pause.Until)
	require.True(t, h.store.Holds.Paused(orders.Payment))
	require.Equal(t, lane, decode[api.Lane](t, h.do(t, http.MethodGet, "/api/system/lanes/payment", "")))

	status := decode[api.SystemStatus](t, h.do(t, http.MethodGet, "/api/system/status", ""))
	require.Contains(t, status.Reasons, api.StatusReason{Code: "lane_paused", Subject: "payment"})
	require.NotContains(t, status.Reasons, api.StatusReason{Code: "queue_paused", Subject: "payment"})
	require.Equal(t, []api.PausedLane{{Lane: "payment", LeverHold: *lane.Pause}}, status.PausedLanes)

	for range 2 { // the second time it is not paused
		lane = decode[api.Lane](t, h.do(t, http.MethodPost, "/api/system/lanes/payment/resume", ""))
		require.False(t, lane.Paused)
		require.Nil(t, lane.Pause)
	}
	require.False(t, h.store.Holds.Paused(orders.Payment))
}

// While the intake is stopped, placements get the operator's reason and are not stored. Everything else goes on.
func TestIntake(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	placed := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", "before").order(t)
	require.False(t, decode[api.Intake](t, h.do(t, http.MethodGet, "/api/system/intake", "")).Stopped)
	intake := decode[api.Intake](t, h.do(t, http.MethodPost, "/api/system/intake/stop", `{"reason":"Back at noon"}`))
	require.True(t, intake.Stopped)
	require.WithinDuration(t, time.Now().Add(time.Hour), intake.Stop.Until, time.Minute)

	for _, key := range []string{"before", "after"} { // a repetition, too, waits until the intake starts
		got := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", key)
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Equal(t, "intake_stopped", got.problem(t).Code)
		require.Equal(t, "Back at noon", got.problem(t).Detail)
		wait, err := strconv.Atoi(got.header.Get("Retry-After"))
		require.NoError(t, err)
		require.Equal(t, 60, wait, "an operator may start the intake before its hour is over")
	}
	require.Contains(t, h.metrics(t), `order_requests_total{action="create",status="stopped"} 2`)
	require.NotContains(t, h.metrics(t), `order_requests_total{action="create",status="error"}`)
	require.Equal(t, http.StatusUnprocessableEntity, h.do(t, http.MethodPost, "/api/orders", `{}`).status,
		"a request that is wrong is wrong")
	path := "/api/orders/" + placed.OrderID.String()
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, path, "").status)
	require.Equal(t, http.StatusAccepted, h.do(t, http.MethodPost, path+"/cancel", "").status)
	status := decode[api.SystemStatus](t, h.do(t, http.MethodGet, "/api/system/status", ""))
	require.Contains(t, status.Reasons, api.StatusReason{Code: "intake_stopped"})
	require.Equal(t, intake, status.Intake)

	require.Equal(t, api.Intake{}, decode[api.Intake](t, h.do(t, http.MethodPost, "/api/system/intake/start", "")))
	got := h.do(t, http.MethodPost, "/api/orders", seedBody, "Idempotency-Key", "before")
	require.Equal(t, "true", got.header.Get("Idempotency-Replayed"))
	require.Len(t, decode[api.OrderPage](t, h.do(t, http.MethodGet, "/api/orders", "")).Orders, 1)
}

// A Retry-After is no longer than the stop.
func TestShortStop(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	body := `{"reason":"r","until":"` + time.Now().Add(20*time.Second).Format(time.RFC3339) + `"}`
	require.Equal(t, http.StatusOK, h.do(t, http.MethodPost, "/api/system/intake/stop", body).status)
	wait, err := strconv.Atoi(h.do(t, http.MethodPost, "/api/orders", seedBody).header.Get("Retry-After"))
	require.NoError(t, err)
	require.LessOrEqual(t, wait, 20)
}

// Wrong requests pull no lever.
func TestLeversRefuse(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	const pause, stop = "/api/system/lanes/payment/pause", "/api/system/intake/stop"
	for name, tt := range map[string]struct {
		path, body, code string
		status           int
	}{
		"UnknownLane":       {"/api/system/lanes/webhooks/pause", `{"reason":"r"}`, "lane_not_found", 404},
		"ResumeUnknownLane": {"/api/system/lanes/Payment/resume", "", "lane_not_found", 404},
		"NoBody":            {pause, "", "bad_request", 400},
		"NoReason":          {pause, `{}`, "validation_failed", 422},
		"NullReason":        {stop, `{"reason":null}`, "validation_failed", 422},
		"NullUntil":         {stop, `{"reason":"r","until":null}`, "validation_failed", 422},
		"EmptyReason":       {stop, `{"reason":""}`, "validation_failed", 422},
		"TwoLines":          {stop, `{"reason":"a\nb"}`, "validation_failed", 422},
		"LongReason":        {stop, `{"reason":"` + strings.Repeat("a", 201) + `"}`, "validation_failed", 422},
		"Past":              {pause, `{"reason":"r","until":"2020-01-01T00:00:00Z"}`, "validation_failed", 422},
		"FarAhead":          {pause, `{"reason":"r","until":"2999-01-01T00:00:00Z"}`, "validation_failed", 422},
		"UnknownField":      {pause, `{"reason":"r","for":"1h"}`, "validation_failed", 422},
		"TooLarge":          {stop, `{"reason":"` + strings.Repeat("a", 300<<10) + `"}`, "body_too_large", 413},
	} {
		got := h.do(t, http.MethodPost, tt.path, tt.body)
		require.Equal(t, tt.status, got.status, "%s: %s", name, got.body)
		require.Equal(t, tt.code, got.problem(t).Code, name)
	}
	require.Equal(t, http.StatusNotFound, h.do(t, http.MethodGet, "/api/system/lanes/x", "").status)
	held, err := h.store.Levers.Read(t.Context())
	require.NoError(t, err)
	require.Empty(t, held.Lanes)
	require.Nil(t, held.Intake)
}

// What operators do is in the audit log, with its reason. So is what others try, up to a bound.
func TestLeversAreAudited(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	as := func(role roles.Role, path, body string) answer {
		return h.do(t, http.MethodPost, path, body, "Authorization", "Bearer "+keys[role], "X-Request-Id", string(role))
	}
	const pause = "/api/system/lanes/payment/pause"
	require.Equal(t, http.StatusOK, as(roles.Operator, pause, `{"reason":"because"}`).status)
	log, err := h.store.Audit.List(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"lanes.pause", "payment", "operator", keys[roles.Operator][3:15], "operator", "127.0.0.1"},
		[]string{log[0].Action, log[0].Target, string(log[0].Role), log[0].Name, log[0].RequestID, log[0].RemoteAddress})
	require.Equal(t, "because", log[0].Detail["reason"])

	for _, role := range []roles.Role{roles.Viewer, roles.Service, roles.Customer} {
		require.Equal(t, http.StatusForbidden, as(role, pause, `{"reason":"r"}`).status)
		log, err := h.store.Audit.List(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, role, log[0].Role)
		require.Equal(t, "pauseLane", log[0].Action)
		require.Equal(t, "payment", log[0].Target)
		require.Equal(t, map[string]any{"allowed": false}, log[0].Detail)
	}
	for range 50 {
		require.Equal(t, http.StatusForbidden, as(roles.Viewer, "/api/system/intake/stop", `{"reason":"r"}`).status)
	}
	log, err = h.store.Audit.List(t.Context(), 100)
	require.NoError(t, err)
	refused := 0
	for _, e := range log {
		if e.Role == roles.Viewer {
			refused++
		}
	}
	require.Equal(t, 30, refused, "the log cannot be flooded")
}
