package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	asJSON, asYAML, err := api.OpenAPI("1.2.3")
	require.NoError(t, err)
	require.Contains(t, string(asYAML), "openapi: 3.1.0")
	again, _, err := api.OpenAPI("1.2.3")
	require.NoError(t, err)
	require.True(t, bytes.Equal(asJSON, again), "the document is the same every time")
	require.NotContains(t, string(asJSON), "$schema")
	require.NotContains(t, string(asJSON), `"null"`)

	var doc map[string]any
	require.NoError(t, json.Unmarshal(asJSON, &doc))
	require.Equal(t, "1.2.3", doc["info"].(map[string]any)["version"])

	t.Run("References", func(t *testing.T) {
		t.Parallel()
		n := 0
		walk(doc, func(key string, v any) {
			ref, ok := v.(string)
			if !ok || !strings.HasPrefix(ref, "#/") {
				return
			}
			n++
			var at any = doc
			for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				at = at.(map[string]any)[part]
			}
			require.NotNil(t, at, "%s: %s", key, ref)
		})
		require.Greater(t, n, 30)
	})

	t.Run("Operations", func(t *testing.T) {
		t.Parallel()
		open := map[string]bool{"getHealth": true, "getLiveness": true, "getReadiness": true}
		var ids []string
		for path, item := range doc["paths"].(map[string]any) {
			for method, v := range item.(map[string]any) {
				op := v.(map[string]any)
				id, _ := op["operationId"].(string)
				ids = append(ids, id)
				for _, field := range []string{"operationId", "summary", "description", "tags", "responses"} {
					require.NotEmpty(t, op[field], "%s %s has no %s", method, path, field)
				}
				security, _ := op["security"].([]any)
				require.Equal(t, open[id], len(security) == 0, "%s: closed unless it is on the list", id)
				for _, p := range list(op["parameters"]) {
					require.NotEmpty(t, p.(map[string]any)["description"], "%s: %v", id, p)
				}
				for code := range op["responses"].(map[string]any) {
					require.NotEqual(t, byte('4'), code[0], "%s: errors are the default response", id)
				}
				require.Contains(t, op["responses"], "default")
			}
		}
		require.ElementsMatch(t, []string{
			"placeOrder", "getOrder", "listOrders", "listOrderEvents", "listEvents", "createStreamTicket",
			"cancelOrder", "refundOrder", "settleOrder", "explainOrder",
			"listDeadLetters", "listDeadLetterOrders", "redriveDeadLetters",
			"exportOrders", "listCustomerOrders", "listUserOrders", "listInventory", "getProduct",
			"listNotifications",
			"createWebhook", "listWebhooks", "getWebhook", "updateWebhook", "deleteWebhook", "rotateWebhookSecret",
			"pingWebhook", "listWebhookDeliveries", "getWebhookDelivery", "redeliverWebhookDelivery",
			"redeliverWebhookDeliveries",
			"getSystemStatus", "getSystemMetrics", "getSystemHistory", "getReconciliation",
			"listLanes", "getLane", "pauseLane", "resumeLane", "getIntake", "stopIntake", "startIntake",
			"getHealth", "getLiveness", "getReadiness",
		}, ids)
	})

	t.Run("Page", func(t *testing.T) {
		t.Parallel()
		page, err := os.ReadFile("../web/docs/init.js")
		require.NoError(t, err)
		_, names, _ := strings.Cut(string(page), "const first = ")
		var first []string
		require.NoError(t, json.NewDecoder(strings.NewReader(names)).Decode(&first))
		require.NotEmpty(t, first)
		for _, id := range first {
			require.Contains(t, string(asJSON), `"operationId": "`+id+`"`, "the page shows it first")
		}
	})

	t.Run("Examples", func(t *testing.T) {
		t.Parallel()
		n := 0
		walk(doc, func(_ string, v any) {
			if examples, ok := v.([]any); ok && len(examples) == 1 {
				v = examples[0]
			}
			example, _ := v.(map[string]any)
			if id, ok := example["orderId"].(string); !ok || id == "" || example["items"] == nil {
				return
			}
			n++
			text, err := json.Marshal(v)
			require.NoError(t, err)
			var order api.Order
			require.NoError(t, json.Unmarshal(text, &order))
			require.Equal(t, "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", order.OrderID.String())
			require.Equal(t, "1", order.CustomerID)
			sum := 0.0
			for _, item := range order.Items {
				price, err := strconv.ParseFloat(string(item.Price), 64)
				require.NoError(t, err)
				sum += price * float64(item.Quantity)
			}
			require.Equal(t, string(order.Total), strconv.FormatFloat(sum, 'f', 2, 64))
		})
		require.Equal(t, 5, n)
	})

	// A reader of the document without an example shows the first value of each enumeration, such as a pending step with
	// the reason of a refusal.
	t.Run("ExamplesWithEnumerations", func(t *testing.T) {
		t.Parallel()
		schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
		for name, v := range schemas {
			schema := v.(map[string]any)
			properties, _ := schema["properties"].(map[string]any)
			for field, property := range properties {
				ref, _ := property.(map[string]any)["$ref"].(string)
				enum := strings.TrimPrefix(ref, "#/components/schemas/")
				if ref == "" || schemas[enum].(map[string]any)["enum"] == nil || enum == "Condition" { // ok comes first
					continue
				}
				require.NotEmpty(t, schema["examples"], "%s has no example, and %s is an enumeration", name, field)
			}
		}
		for _, name := range []string{
			"OrderEvent", "OrderCreatedEvent", "OrderStatusUpdatedEvent", "OrderProcessingProgressEvent",
		} {
			example := schemas[name].(map[string]any)["examples"].([]any)[0].(map[string]any)
			if data, ok := example["data"].(map[string]any); ok {
				require.Equal(t, example["event"], data["type"], name)
				example = data
			}
			require.NotContains(t, example, "reason", "%s: nothing went wrong", name)
			require.Equal(t, example["kind"] == "order_placed", example["step"] == nil, name)
		}
		cursor := schemas["CursorEvent"].(map[string]any)["examples"].([]any)[0].(map[string]any)
		require.NotContains(t, cursor["data"], "detail")
	})

	t.Run("Streams", func(t *testing.T) {
		t.Parallel()
		schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
		stream := schemas["OrderStreamEvent"].(map[string]any)
		require.Len(t, stream["oneOf"], 3)
		require.Equal(t, "event", stream["discriminator"].(map[string]any)["propertyName"])
		created := schemas["OrderCreatedEvent"].(map[string]any)["properties"].(map[string]any)
		require.Equal(t, "string", created["id"].(map[string]any)["type"])
		require.Equal(t, []any{"OrderCreated"}, created["event"].(map[string]any)["enum"])
	})
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// walk calls fn for every value of every object.
func walk(v any, fn func(key string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			fn(key, child)
			walk(child, fn)
		}
	case []any:
		for _, child := range v {
			walk(child, fn)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	for path, media := range map[string]string{
		"/openapi.json": "application/openapi+json", "/openapi.yaml": "application/openapi+yaml",
	} {
		got := h.do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, media, got.header.Get("Content-Type"))
		again := h.do(t, http.MethodGet, path, "", "If-None-Match", got.header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.status)
	}
	page := h.do(t, http.MethodGet, "/docs", "")
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.header.Get("Content-Security-Policy"), "script-src 'self'")
	require.NotContains(t, page.body, "https://")
	require.Equal(t, http.StatusMethodNotAllowed, h.do(t, http.MethodPost, "/docs/", "").status)
}
