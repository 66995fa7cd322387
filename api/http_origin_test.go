package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/trace"
)

// The request that places an order is stored with it, and the lines of requests say what their work was.
func TestOrigin(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t), func(c *api.Config) {
		c.Logger = slog.New(trace.Handler{Handler: c.Logger.Handler()})
	})
	const id, traceID = "find-me", "4bf92f3577b34da6a3ce929d0e0e4736"
	placed := h.do(t, http.MethodPost, "/api/orders", seedBody, "X-Request-Id", id, "Idempotency-Key", "k",
		"Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	require.Equal(t, http.StatusAccepted, placed.status, placed.body)
	order := placed.order(t).OrderID.String()
	h.do(t, http.MethodPost, "/api/orders", seedBody, "X-Request-Id", "again", "Idempotency-Key", "k",
		"Traceparent", strings.Repeat("0", 10_000))
	h.do(t, http.MethodGet, "/api/orders/"+order, "", "X-Request-Id", "read")
	require.Eventually(t, func() bool { // the cache may forget an order at any time
		h.do(t, http.MethodGet, "/api/orders/"+order, "", "X-Request-Id", "remembered")
		return strings.Contains(h.log.String(), `"cache":"hit"`)
	}, time.Minute, time.Millisecond)

	x := decode[api.Explanation](t, h.do(t, http.MethodGet, "/api/orders/"+order+"/explain", ""))
	require.Equal(t, id, x.Belongs.RequestID)
	require.Equal(t, traceID, x.Belongs.TraceID)

	lines := map[any]map[string]any{}
	for line := range strings.Lines(h.log.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		lines[fields["request_id"]] = fields
	}
	for _, line := range lines {
		require.Equal(t, order, line["order_id"], line)
		if line["cache"] != "hit" {
			require.Positive(t, line["database_seconds"], line)
		}
	}
	require.Equal(t, traceID, lines[id]["trace_id"])
	require.Equal(t, "00f067aa0ba902b7", lines[id]["span_id"])
	require.InDelta(t, 1, lines[id]["commit_callers"], 0)
	require.NotContains(t, lines[id], "replayed")
	require.Equal(t, true, lines["again"]["replayed"])
	require.NotContains(t, lines["again"], "trace_id")
	require.Equal(t, "miss", lines["read"]["cache"])
	require.Equal(t, "hit", lines["remembered"]["cache"])
}
