package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// request is an operation with a body that has every field that the document knows.
type request struct {
	operation, method, path string
	body                    any
	fields                  []field
}

// field is a place in a body.
type field struct {
	location string // as a problem names it
	kind     string // the type that the document gives it
	pointer  []any  // names and indexes that lead there
}

// requests makes one of every operation that has a body, from the document.
func requests(t *testing.T, order orders.ID) (list []request) {
	t.Helper()
	asJSON, err := document()
	require.NoError(t, err)
	var doc map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(asJSON)))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&doc))
	for path, item := range doc["paths"].(map[string]any) {
		for method, v := range item.(map[string]any) {
			op := v.(map[string]any)
			body, ok := op["requestBody"].(map[string]any)
			if !ok {
				continue
			}
			r := request{operation: op["operationId"].(string), method: strings.ToUpper(method)}
			r.path = strings.NewReplacer("{id}", order.String(), "{webhookId}", orders.NewID().String()).Replace(path)
			schema := body["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
			r.body = r.value(doc, schema.(map[string]any), "body", nil)
			list = append(list, r)
		}
	}
	require.GreaterOrEqual(t, len(list), 9)
	slices.SortFunc(list, func(a, b request) int { return strings.Compare(a.operation, b.operation) })
	return list
}

// value makes a value of a schema and notes where its fields are.
func (r *request) value(doc, schema map[string]any, location string, pointer []any) any {
	if ref, ok := schema["$ref"].(string); ok {
		described := doc["components"].(map[string]any)["schemas"].(map[string]any)[ref[strings.LastIndex(ref, "/")+1:]]
		merged := maps.Clone(described.(map[string]any))
		maps.Copy(merged, schema)
		delete(merged, "$ref")
		schema = merged
	}
	kind, _ := schema["type"].(string)
	r.fields = append(r.fields, field{location, kind, pointer})
	at := func(step any) []any { return append(slices.Clone(pointer), step) }
	switch kind {
	case "object":
		object := make(map[string]any)
		for name, property := range schema["properties"].(map[string]any) {
			object[name] = r.value(doc, property.(map[string]any), location+"."+name, at(name))
		}
		return object
	case "array":
		return []any{r.value(doc, schema["items"].(map[string]any), location+"[0]", at(0))}
	}
	if examples := list(schema["examples"]); len(examples) > 0 {
		return examples[0]
	}
	if values := list(schema["enum"]); len(values) > 0 {
		return values[0]
	}
	return map[string]any{"string": "text", "integer": json.Number("1"), "number": json.Number("1"), "boolean": true}[kind]
}

// with is the body with a field replaced by raw JSON. Instead of a member's value, its name and value may be replaced.
func (r *request) with(t *testing.T, f field, replacement func(name, value string) string) string {
	t.Helper()
	const mark = "here-it-is"
	b, err := json.Marshal(r.body)
	require.NoError(t, err)
	if len(f.pointer) == 0 {
		return replacement("", string(b))
	}
	var body any
	decoder := json.NewDecoder(strings.NewReader(string(b)))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&body))
	at := body
	for _, step := range f.pointer[:len(f.pointer)-1] {
		at = into(at, step)
	}
	last := f.pointer[len(f.pointer)-1]
	was, err := json.Marshal(into(at, last))
	require.NoError(t, err)
	marked := `"` + mark + `"`
	switch at := at.(type) {
	case map[string]any:
		name := last.(string)
		at[name] = mark
		marked = fmt.Sprintf("%q:%s", name, marked)
		b, err = json.Marshal(body)
		require.NoError(t, err)
		return strings.Replace(string(b), marked, replacement(fmt.Sprintf("%q:", name), string(was)), 1)
	default:
		at.([]any)[last.(int)] = mark
		b, err = json.Marshal(body)
		require.NoError(t, err)
		return strings.Replace(string(b), marked, replacement("", string(was)), 1)
	}
}

func into(v, step any) any {
	if name, ok := step.(string); ok {
		return v.(map[string]any)[name]
	}
	return v.([]any)[step.(int)]
}

// effects counts what requests leave behind.
func (h *harness) effects(t *testing.T) (rows int) {
	t.Helper()
	require.NoError(t, h.pool.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM millrace.orders) + (SELECT count(*) FROM millrace.order_events) +
		(SELECT count(*) FROM millrace.river_job) + (SELECT count(*) FROM millrace.webhook_endpoints) +
		(SELECT count(*) FROM millrace.stream_tickets)`).Scan(&rows))
	return rows
}

// The document allows null nowhere, and left out often means "all": so null is refused wherever a body can have it.
func TestNullIsNothing(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id, _ := h.completed(t)
	before, tried := h.effects(t), 0
	for _, r := range requests(t, id) {
		for _, f := range r.fields {
			body := r.with(t, f, func(name, _ string) string { return name + "null" })
			got := h.do(t, r.method, r.path, body)
			require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s: %s", r.operation, body, got.body)
			var locations []string
			for _, e := range got.problem(t).Errors {
				locations = append(locations, e.Location)
			}
			require.Equal(t, []string{f.location}, locations, "%s %s", r.operation, body)
			tried++
		}
	}
	require.Greater(t, tried, 40)
	require.Equal(t, before, h.effects(t), "something was done")
}

// A name that is there twice is read as one object by some and as a mix of two by others. It is refused at any depth,
// also when one of the two is spelled with an escape.
func TestNamesOnce(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id, _ := h.completed(t)
	before := h.effects(t)
	for _, r := range requests(t, id) {
		for _, f := range r.fields {
			name, ok := any(nil), len(f.pointer) > 0
			if ok {
				name = f.pointer[len(f.pointer)-1]
			}
			text, ok := name.(string)
			if !ok {
				continue
			}
			escaped := fmt.Sprintf(`"\u%04x%s":`, text[0], text[1:])
			for _, twice := range []string{fmt.Sprintf("%q:", text), escaped} {
				body := r.with(t, f, func(name, value string) string { return name + value + "," + twice + value })
				got := h.do(t, r.method, r.path, body)
				require.Equal(t, http.StatusBadRequest, got.status, "%s %s: %s", r.operation, body, got.body)
				require.Contains(t, got.problem(t).Errors[0].Message,
					strings.TrimPrefix(f.location, "body.")+" must be given once")
			}
			// encoding/json would take it for the same name.
			other := fmt.Sprintf("%q:", strings.ToUpper(text))
			body := r.with(t, f, func(name, value string) string { return name + value + "," + other + value })
			got := h.do(t, r.method, r.path, body)
			require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s: %s", r.operation, body, got.body)
		}
	}
	require.Equal(t, before, h.effects(t), "something was done")
}

// Half a surrogate pair is not a character. Go turns it into U+FFFD, so that different texts would become equal.
func TestHalfCharacters(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id, _ := h.completed(t)
	before := h.effects(t)
	for _, r := range requests(t, id) {
		for _, f := range r.fields {
			if f.kind != "string" {
				continue
			}
			for _, half := range []string{`\ud83d`, `\uDE00`, `a\ud83d\u0041`, `\ud83d\ud83d`, "\xff", "\xed\xa0\xbd"} {
				body := r.with(t, f, func(name, _ string) string { return name + `"` + half + `"` })
				got := h.do(t, r.method, r.path, body)
				require.Equal(t, http.StatusBadRequest, got.status, "%s %s: %s", r.operation, body, got.body)
				if half[0] == '\\' {
					require.Contains(t, got.problem(t).Errors[0].Message, strings.TrimPrefix(f.location, "body."))
				}
			}
		}
	}
	require.Equal(t, before, h.effects(t), "something was done")
	whole := h.do(t, http.MethodPost, "/api/orders", strings.Replace(seedBody, `"1"`, `"\ud83d\ude00"`, 1))
	require.Equal(t, "😀", whole.order(t).CustomerID)
}

// To JSON Schema an integer is a number without a fraction, however it is written.
func TestIntegers(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	tried := 0
	for _, r := range requests(t, orders.NewID()) {
		for _, f := range r.fields {
			if f.kind != "integer" {
				continue
			}
			tried++
			for literal, good := range map[string]bool{
				"1.0": true, "1e0": true, "10E-1": true, "1.5": false, "1e400": false, "1.0000000000000000000001": false,
				"1e-1": false, `"1"`: false,
			} {
				body := r.with(t, f, func(name, _ string) string { return name + literal })
				got := h.do(t, r.method, r.path, body)
				if good {
					require.NotContains(t, got.body, "whole number")
					require.NotContains(t, got.body, "integer")
					continue
				}
				require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s: %s", r.operation, body, got.body)
			}
		}
	}
	require.GreaterOrEqual(t, tried, 5)

	place := func(quantity string) answer {
		return h.do(t, http.MethodPost, "/api/orders",
			`{"customerId":"1","items":[{"productId":9223372036854775807.0,"quantity":`+quantity+`,"price":1}]}`)
	}
	for literal, want := range map[string]int64{"1.0": 1, "1e2": 100, "0.5e1": 5, "10000.000": 10000} {
		got := place(literal)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Equal(t, want, got.order(t).Items[0].Quantity)
		require.Equal(t, int64(9223372036854775807), got.order(t).Items[0].ProductID, "no float came by")
	}
	require.Equal(t, http.StatusUnprocessableEntity, place("10000.0000000000000000001").status)
}

// What is left out often means "all", so what is empty must not count as left out.
func TestEmptyIsNotAll(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id, path := h.completed(t)
	before := h.effects(t)
	for _, tt := range []struct{ method, path, body string }{
		{"POST", path + "/refunds", `{"amount":0}`},
		{"POST", path + "/refunds", `{"amount":""}`},
		{"POST", path + "/refunds", `null`},
		{"POST", path + "/refunds", `[]`},
		{"POST", path + "/refunds", `""`},
		{"POST", path + "/settle", `{"action":"retry","reason":"r","step":""}`},
		{"POST", path + "/settle", `{"action":"retry","reason":"r","step":"void_payment","generation":0}`},
		{"POST", path + "/settle", `{"action":"retry","reason":"  "}`},
		{"POST", "/api/stream-tickets", `{"customerId":""}`},
		{"POST", "/api/stream-tickets", `{"customerId":" "}`},
		{"POST", "/api/stream-tickets", `null`},
		{"POST", "/api/webhooks", `{"url":"https://shop.example.com/hook","customerId":""}`},
		{"POST", "/api/webhooks", `{"url":"https://shop.example.com/hook","eventTypes":[]}`},
		{"PATCH", "/api/webhooks/" + id.String(), `{"eventTypes":[]}`},
		{"POST", "/api/dead-letters/redrive", `{"reason":"r","orderIds":[]}`},
		{"POST", "/api/dead-letters/redrive", `{"reason":"r","code":""}`},
		{"POST", "/api/dead-letters/redrive", `{"reason":"r","dryRun":""}`},
		{"POST", "/api/dead-letters/redrive", `{"reason":"r","dryRun":0}`},
		{"POST", "/api/dead-letters/redrive", `{"reason":"r","ratePerSecond":0}`},
		{"POST", "/api/webhooks/" + id.String() + "/redeliver", `{"since":""}`},
	} {
		got := h.do(t, tt.method, tt.path, tt.body)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, "%s %s: %s", tt.path, tt.body, got.body)
	}
	for _, header := range []string{"If-Match", "Idempotency-Key"} {
		got := h.do(t, http.MethodPost, path+"/refunds", "", header, " ")
		require.Equal(t, http.StatusBadRequest, got.status, header)
		require.Equal(t, "header."+header, got.problem(t).Errors[0].Location)
	}
	for _, header := range []string{"Minimum-Version", "If-None-Match"} {
		require.Equal(t, http.StatusBadRequest, h.do(t, http.MethodGet, path, "", header, "").status, header)
	}
	require.Equal(t, before, h.effects(t), "something was done")
}

// Every parameter of every operation is refused if it is empty.
func TestEmptyParameters(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	id, _ := h.completed(t)
	asJSON, err := document()
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(asJSON, &doc))
	tried := 0
	for path, item := range doc["paths"].(map[string]any) {
		for method, v := range item.(map[string]any) {
			for _, p := range list(v.(map[string]any)["parameters"]) {
				parameter := p.(map[string]any)
				name := parameter["name"].(string)
				if parameter["in"] != "query" || name == "ticket" { // which is asked for before anything is read
					continue
				}
				at := strings.NewReplacer("{id}", id.String(), "{webhookId}", id.String(), "{customerId}", "1",
					"{userId}", "1").Replace(path)
				got := h.do(t, strings.ToUpper(method), at+"?"+name+"=", "")
				require.Equal(t, http.StatusBadRequest, got.status, "%s?%s=: %s", at, name, got.body)
				tried++
			}
		}
	}
	require.Greater(t, tried, 15)
}
