package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/webhook"
)

var (
	contractSeed     = flag.Uint64("contract.seed", uint64(time.Now().UnixNano()), "seed of TestContract")
	contractRequests = flag.Int("contract.requests", 1000, "requests that TestContract sends")
)

// newKeyword finds what a schema of OpenAPI 3.0 does not know, and 3.1 does.
var newKeyword = regexp.MustCompile(`(?m)^\s*"?(const|contains|contentSchema|dependentRequired|dependentSchemas|` +
	`\$defs|else|if|patternProperties|prefixItems|propertyNames|then|unevaluatedItems|unevaluatedProperties)"?:`)

// TestContract sends requests made from the document, right ones and wrong ones of every kind, to every operation. No
// answer may be a 5xx, and every answer must be one that the document describes.
//
//nolint:paralleltest // it keeps the machine busy: others would wait for their moments in vain
func TestContract(t *testing.T) {
	for half := range uint64(2) {
		t.Run(fmt.Sprint(half), func(t *testing.T) {
			t.Parallel()
			testContract(t, *contractSeed+half, *contractRequests/2)
		})
	}
}

func testContract(t *testing.T, seed uint64, requests int) {
	t.Helper()
	h := serve(t, storetest.Pool(t))
	asJSON, err := document()
	require.NoError(t, err)
	spec, err := openapi3.NewLoader().LoadFromData(asJSON)
	require.NoError(t, err)
	// The validator would compile a JSON schema for each answer of a 3.1 document: a third of this test's work, and of no
	// use for a document without the keywords that are new in 3.1.
	require.NotRegexp(t, newKeyword, string(asJSON), "this keyword is not checked below")
	spec.OpenAPI = "3.0.3"
	t.Logf("-contract.seed %d", *contractSeed)
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0)), spec: spec}
	for i := range 200 {
		var id orders.ID
		switch i % 4 {
		case 0:
			id = storetest.Order(t, h.store).ID
		case 1:
			id, _ = h.completed(t)
		default: // the most, because a settlement is easily wrong
			id, _ = h.attention(t)
			g.stuck = append(g.stuck, id.String())
		}
		g.ids = append(g.ids, id.String())
	}

	var products []orders.Stock // there is one for most small numbers
	for id := range int64(12) {
		products = append(products, orders.Stock{ProductID: id + 1, Quantity: id})
	}
	require.NoError(t, h.store.Inventory.Replace(t.Context(), products, time.Now()))

	for i := range 10 {
		w, err := h.store.Webhooks.Make(t.Context(), store.NewWebhook{
			Owner: store.Owner{Principal: "dev"}, URL: "https://shop.example.com", Secret: webhook.NewSecret(),
		})
		require.NoError(t, err)
		if i%2 == 0 {
			g.doomed = append(g.doomed, w.ID.String())
			continue
		}
		d, err := h.store.Deliveries.Notify(t.Context(), store.Owner{Principal: "dev"}, w.ID, webhook.Ping, "{}")
		require.NoError(t, err)
		g.webhooks = append(g.webhooks, [2]string{w.ID.String(), d.ID.String()})
	}

	var operations []routers.Route
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for path := range spec.Paths.Map() {
			if !yield(path) {
				return
			}
		}
	}) {
		for method, operation := range spec.Paths.Value(path).Operations() {
			operations = append(operations, routers.Route{
				Spec: spec, Path: path, PathItem: spec.Paths.Value(path), Method: method, Operation: operation,
			})
		}
	}
	slices.SortFunc(operations, func(a, b routers.Route) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })

	seen := map[string]map[int]int{}
	send := func(route routers.Route) (succeeded bool) {
		request := g.request(t.Context(), route)
		recorder := httptest.NewRecorder()
		h.api.ServeHTTP(recorder, request)
		status, body := recorder.Code, recorder.Body.Bytes()
		what := fmt.Sprintf("%s %s %v\n%s", request.Method, request.URL, request.Header, g.sent)
		require.Less(t, status, 500, "%s\n%s", what, body)
		noLeak(t, string(body), what)
		if seen[route.Operation.OperationID] == nil {
			seen[route.Operation.OperationID] = map[int]int{}
		}
		seen[route.Operation.OperationID][status]++
		if route.Operation.OperationID == "stopIntake" && status == http.StatusOK { // or no more orders are placed
			require.NoError(t, h.store.Levers.StartIntake(t.Context(), store.Actor{Name: "test"}))
			require.NoError(t, h.store.Holds.Follow(t.Context(), h.store.Levers))
		}
		if status == http.StatusNotModified || strings.HasPrefix(recorder.Header().Get("Content-Type"), "text/event-stream") {
			return status < 300 // nothing to validate, or several values
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: &route},
			Status:                 status, Header: recorder.Header(),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		input.SetBodyBytes(body)
		require.NoError(t, openapi3filter.ValidateResponse(t.Context(), input), "%s\n%d %s", what, status, body)
		return status < 300
	}
	succeeded := map[string]bool{}
	for range requests {
		route := operations[g.IntN(len(operations))]
		succeeded[route.Operation.OperationID] = send(route) || succeeded[route.Operation.OperationID]
	}
	// One request in fourteen to place an order is right, and of the few that were sent none may have been.
	for _, route := range operations {
		for tries := 0; !succeeded[route.Operation.OperationID] && tries < 1000; tries++ {
			succeeded[route.Operation.OperationID] = send(route)
		}
		t.Log(route.Operation.OperationID, seen[route.Operation.OperationID])
		require.True(t, succeeded[route.Operation.OperationID],
			"%s never succeeded: the generator makes nothing right", route.Operation.OperationID)
	}
}

// generator makes requests. Most of each is right, or nothing would get past the first check.
type generator struct {
	*rand.Rand
	spec  *openapi3.T
	ids   []string // of orders that exist
	stuck []string // of those that need attention
	sent  []byte   // the last body

	webhooks [][2]string // webhooks that exist, with a delivery
	doomed   []string    // webhooks that may be deleted
}

func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) request(ctx context.Context, route routers.Route) *http.Request {
	path, query, header := route.Path, url.Values{}, http.Header{}
	hook := g.webhooks[g.IntN(len(g.webhooks))]
	for _, ref := range route.Operation.Parameters {
		parameter := ref.Value
		value := g.text(parameter.Schema.Value)
		if _, err := strconv.ParseUint(value, 10, 64); err == nil && parameter.Name == "wait" {
			value = strconv.Itoa(g.IntN(200) / 199) // seconds, in which the test would do nothing else
		}
		switch known := !g.one(8); {
		case known && route.Operation.OperationID == "settleOrder" && parameter.Name == "id":
			value = g.stuck[g.IntN(len(g.stuck))]
		case known && parameter.Name == "id":
			value = g.ids[g.IntN(len(g.ids))]
		case known && parameter.Name == "webhookId" && route.Method == http.MethodDelete:
			value = g.doomed[g.IntN(len(g.doomed))]
		case known && parameter.Name == "webhookId":
			value = hook[0]
		case known && parameter.Name == "lane":
			value = "payment"
		case known && parameter.Name == "deliveryId":
			value = hook[1]
		}
		switch parameter.In {
		case "path":
			if value == "" {
				value = "x"
			}
			path = strings.ReplaceAll(path, "{"+parameter.Name+"}", url.PathEscape(value))
		case "query":
			if g.one(3) {
				query.Add(parameter.Name, value)
			}
		case "header":
			if g.one(4) {
				header.Set(parameter.Name, strings.Map(printable, value))
			}
		}
	}
	if g.one(30) {
		query.Set("nonsense", "1")
	}
	g.sent = nil
	if body := route.Operation.RequestBody; body != nil && !g.one(30) {
		var err error
		if g.sent, err = json.Marshal(g.value(body.Value.Content["application/json"].Schema.Value, 0)); err != nil {
			panic(err)
		}
		if g.one(40) {
			g.sent = g.sent[:g.IntN(len(g.sent)+1)]
		}
		header.Set("Content-Type", "application/json")
		if g.one(40) {
			header.Set("Content-Type", "text/plain")
		}
	}
	if header.Get("Accept") == "" && g.one(20) {
		header.Set("Accept", []string{"text/html", "application/json", "*/*", "text/event-stream;q=0"}[g.IntN(4)])
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	request := httptest.NewRequestWithContext(ctx, route.Method, path, bytes.NewReader(g.sent))
	request.Header, request.Host, request.RemoteAddr = header, "localhost", "127.0.0.1:1"
	return request
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// strange are texts that programs trip over.
func (g *generator) strange() string {
	all := []string{
		"", " ", "\x00", "a\nb", "'; DROP TABLE orders; --", "../../etc/passwd", "%00", "é", "𝄞", "\u202e", "null",
		"-1", "1e9", "9223372036854775808", strings.Repeat("x", 300), "NaN", "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", "{}",
		"\ufffd", "\"4\"",
	}
	return all[g.IntN(len(all))]
}

// text makes the text of a parameter.
func (g *generator) text(schema *openapi3.Schema) string {
	if g.one(6) {
		return g.strange()
	}
	if s, ok := g.value(schema, 0).(string); ok {
		return s
	}
	b, _ := json.Marshal(g.value(schema, 0))
	return string(b)
}

// value makes a value that fits a schema, or one time in a while one that does not.
func (g *generator) value(schema *openapi3.Schema, depth int) any {
	if depth > 0 && g.one(25) {
		return []any{nil, true, -1, 1.5, g.strange(), []any{}, map[string]any{"a": 1}, json.Number("1e400")}[g.IntN(8)]
	}
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[g.IntN(len(schema.Enum))]
	case schema.Type.Is("object"):
		object := map[string]any{}
		for name, property := range schema.Properties {
			if slices.Contains(schema.Required, name) && !g.one(60) || g.one(3) {
				object[name] = g.value(property.Value, depth+1)
				if name == "url" && !g.one(8) {
					object[name] = "https://shop.example.com/hook"
				}
			}
		}
		if g.one(50) {
			object["nonsense"] = g.strange()
		}
		return object
	case schema.Type.Is("array"):
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(schema.Items.Value, depth+1)
		}
		return list
	case schema.Type.Is("integer"):
		return g.IntN(12)
	case schema.Type.Is("number"):
		return json.Number(fmt.Sprintf("%d.%02d", g.IntN(300), g.IntN(100)))
	case schema.Type.Is("boolean"):
		return g.one(2)
	}
	switch {
	case schema.Format == "uuid":
		return g.ids[g.IntN(len(g.ids))]
	case schema.Format == "date-time":
		return time.Now().Add(-time.Hour).Format(time.RFC3339)
	case strings.Contains(schema.Pattern, "[A-Z]{3}"):
		return []string{"USD", "EUR", "JPY"}[g.IntN(3)]
	case strings.Contains(schema.Pattern, "[A-Z]{2}"):
		return "US"
	case g.one(8):
		return g.strange()
	}
	return []string{"1", "card", "Springfield", `"4"`, "key-" + fmt.Sprint(g.IntN(50))}[g.IntN(5)]
}
