package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// scenario is a request and what must, and must not, come back.
type scenario struct {
	name, method, path string
	header             []string
	body               string
	wantStatus         int
	wantBody           string
	wantHeader         []string
	notWantBody        string
}

func (s scenario) run(t *testing.T, h *harness) {
	t.Helper()
	got := h.do(t, s.method, s.path, s.body, s.header...)
	require.Equal(t, s.wantStatus, got.status, got.body)
	require.Contains(t, got.body, s.wantBody)
	if s.notWantBody != "" {
		require.NotContains(t, got.body, s.notWantBody)
	}
	for i := 0; i < len(s.wantHeader); i += 2 {
		require.Equal(t, s.wantHeader[i+1], got.header.Get(s.wantHeader[i]))
	}
	require.Regexp(t, `^[A-Za-z0-9._-]{1,64}$`, got.header.Get("X-Request-Id"))
	require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
	noLeak(t, got.body)
	if got.status >= 400 {
		p := got.problem(t)
		require.Equal(t, "about:blank", p.Type)
		require.NotEmpty(t, p.Title)
		require.NotEmpty(t, p.Code)
	}
}

// badInput is every class of mistake a request can have; of is the path of an order that there is.
func badInput(of string) (scenarios []scenario) {
	const unknown = "/api/orders/0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"
	const good = `{"productId":1,"quantity":1,"price":1}`
	order := func(field string) string { return `{"customerId":"1","items":[` + good + `],` + field + `}` }
	item := func(item string) string { return `{"customerId":"1","items":[` + item + `]}` }
	price := func(price string) string { return item(`{"productId":1,"quantity":1,"price":` + price + `}`) }

	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"NotJSON", `{"customerId"`, 400, "is not complete JSON"},
		{"Syntax", `{"a":}`, 400, "mistake at byte 6"},
		{"TwoValues", seedBody + `{}`, 400, "nothing after it"},
		{"WithoutABody", "", 400, "bad_request"},
		{"NotUTF8", order(`"paymentMethod":"` + "\xff" + `"`), 400, "UTF-8"},
		{"Deep", strings.Repeat("[", 20000), 400, "mistake at byte 10001"},
		{"Null", `null`, 422, `"location":"body"`},
		{"Array", `[]`, 422, "expected object"},
		{"TooLarge", order(`"paymentMethod":"` + strings.Repeat("x", 256<<10) + `"`), 413, "body_too_large"},

		{"NoCustomer", `{"items":[` + good + `]}`, 422, "customerId"},
		{"EmptyCustomer", `{"customerId":"","items":[` + good + `]}`, 422, "body.customerId"},
		{"CustomerIsNumber", `{"customerId":4242424242424242,"items":[` + good + `]}`, 422, "body.customerId"},
		{"NulInCustomer", `{"customerId":"a\u0000b","items":[` + good + `]}`, 422, "body.customerId"},
		{"NulInPayment", order(`"paymentMethod":"a\u0000b"`), 422, "U+0000"},
		{"CustomerDot", `{"customerId":".","items":[` + good + `]}`, 422, "body.customerId"},
		{"CustomerDots", `{"customerId":"..","items":[` + good + `]}`, 422, "body.customerId"},
		{"CustomerZeroWidth", `{"customerId":"a\u200bb","items":[` + good + `]}`, 422, "body.customerId"},
		{"CustomerFiller", `{"customerId":"\u3164","items":[` + good + `]}`, 422, "body.customerId"},
		{"UnknownField", order(`"status":"completed"`), 422, "body.status"},
		{"OtherCase", order(`"Currency":"EUR"`), 422, "body.Currency"},
		{"LongUnknownField", order(`"` + strings.Repeat("k", 10000) + `":1`), 422, "kkk…"},
		{"NoItems", `{"customerId":"1","items":[]}`, 422, "body.items"},
		{"NullItems", `{"customerId":"1","items":null}`, 422, "body.items"},
		{"NullItem", item(`null`), 422, "body.items[0]"},
		{"TooManyItems", item(strings.Repeat(good+",", 100) + good), 422, "body.items"},
		{"ManyMistakes", item(strings.Repeat(`{},`, 99) + `{}`), 422, "body.items[1]"},

		{"ProductZero", item(`{"productId":0,"quantity":1,"price":1}`), 422, "body.items[0].productId"},
		{"ProductFraction", item(`{"productId":1.5,"quantity":1,"price":1}`), 422, "body.items[0].productId"},
		{"ProductHuge", item(`{"productId":9223372036854775808,"quantity":1,"price":1}`), 422, "items[0].productId must be"},
		{"QuantityExponent", item(`{"productId":1,"quantity":1e-1,"price":1}`), 422, "body.items[0].quantity"},
		{"QuantityTooLarge", item(`{"productId":1,"quantity":10001,"price":1}`), 422, "body.items[0].quantity"},

		{"PriceIsString", price(`"1.00"`), 422, "body.items[0].price"},
		{"PriceIsNull", price(`null`), 422, "body.items[0].price"},
		{"PriceNegative", price(`-0.01`), 422, "body.items[0].price"},
		{"PriceMinusZero", price(`-0`), 422, "body.items[0].price"},
		{"PriceExponent", price(`1e2`), 422, "plain non-negative decimal"},
		{"PriceInfinite", price(`1e400`), 422, "body.items[0].price"},
		{"PriceTooPrecise", price(`1.001`), 422, "at most 2 decimals in USD"},
		{"PriceTooLarge", price(`90071992547409.92`), 422, "is too large"},
		{"SumTooLarge", item(`{"productId":1,"quantity":2,"price":90071992547409.91}`), 422, "total that is too large"},
		{"WrongTotal", order(`"total":1.01`), 422, "body.total"},
		{"TotalTooPrecise", order(`"total":1.001`), 422, "body.total"},
		{"TotalIsString", order(`"total":"1"`), 422, "body.total"},
		{"UnknownCurrency", order(`"currency":"XTS"`), 422, "body.currency"},
		{"YenHasNoDecimals", strings.Replace(price(`1.5`), `{`, `{"currency":"JPY",`, 1), 422, "0 decimals in JPY"},
		{"AddressWithoutCity", order(`"shippingAddress":{"line1":"1 Main St","country":"US"}`), 422, "city"},
		{"BadCountry", order(`"shippingAddress":{"line1":"a","city":"b","country":"usa"}`), 422, "shippingAddress.country"},
	} {
		scenarios = append(scenarios, scenario{
			name: tt.name, method: "POST", path: "/api/orders", body: tt.body, wantStatus: tt.status, wantBody: tt.want,
			notWantBody: "424242", // a value is never repeated
		})
	}

	for name, key := range map[string]string{
		"Empty": "", "Long": strings.Repeat("k", 256), "Space": "a b", "NotASCII": "é", "EmptyQuoted": `""`,
		"OpenQuote": `"a`, "AfterQuote": `"a";b`,
	} {
		scenarios = append(scenarios, scenario{
			name: "Key" + name, method: "POST", path: "/api/orders", body: seedBody,
			header: []string{"Idempotency-Key", key}, wantStatus: 400, wantBody: "header.Idempotency-Key",
		})
	}
	for name, header := range map[string][]string{
		"WrongType": {"Content-Type", "text/plain"}, "Form": {"Content-Type", "application/x-www-form-urlencoded"},
		"Multipart": {"Content-Type", "multipart/form-data; boundary=x"},
	} {
		scenarios = append(scenarios, scenario{
			name: name, method: "POST", path: "/api/orders", body: seedBody, header: header,
			wantStatus: 415, wantBody: "unsupported_media_type",
		})
	}
	for name, last := range map[string]string{
		"Word": "x", "Sign": "-1", "Beyond": "99", "Overflow": "99999999999999999999",
	} {
		scenarios = append(scenarios, scenario{
			name: "LastEventID" + name, method: "GET", path: of + "/events",
			header:     []string{"Accept", "text/event-stream", "Last-Event-ID", last},
			wantStatus: 400, wantBody: "header.Last-Event-ID",
		})
	}

	for _, tt := range []struct {
		name, method, path string
		status             int
		want               string
	}{
		{"NotAnID", "GET", "/api/orders/1", 422, "path.id"},
		{"URNIsNotAnID", "GET", "/api/orders/urn:uuid:0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e", 422, "path.id"},
		{"NoSuchOrder", "GET", unknown, 404, "order_not_found"},
		{"NoSuchOrderToCancel", "POST", unknown + "/cancel", 404, "order_not_found"},
		{"NoSuchOrdersEvents", "GET", unknown + "/events", 404, "order_not_found"},

		{"UnknownParameter", "GET", "/api/orders?foo=1", 422, "query.foo"},
		{"UnknownParameterOfOne", "GET", of + "?foo=1", 422, "query.foo"},
		{"ParameterTwice", "GET", "/api/orders?limit=1&limit=2", 400, "query.limit"},
		{"EmptyParameter", "GET", "/api/orders?customerId=", 400, "query.customerId"},
		{"MalformedQuery", "GET", "/api/orders?customerId=%zz", 400, `"query"`},
		{"LimitZero", "GET", "/api/orders?limit=0", 422, "query.limit"},
		{"LimitTooLarge", "GET", "/api/orders?limit=101", 422, "query.limit"},
		{"LimitNotANumber", "GET", "/api/orders?limit=ten", 422, "query.limit"},
		{"UnknownStatus", "GET", "/api/orders?status=shipped", 422, "query.status"},
		{"NotACursor", "GET", "/api/orders?cursor=abc", 400, "query.cursor"},
		{"LongCursor", "GET", "/api/orders?cursor=" + strings.Repeat("A", 101), 422, "query.cursor"},
		{"AfterNegative", "GET", of + "/events?after=-1", 422, "query.after"},

		{"NoRoute", "GET", "/nope", 404, "not_found"},
		{"TrailingSlash", "GET", "/api/orders/", 404, "not_found"},
		{"Method", "DELETE", "/api/orders", 405, "method_not_allowed"},
		{"Trace", "TRACE", "/api/orders", 405, "method_not_allowed"},
		{"Preflight", "OPTIONS", "/api/orders", 405, "method_not_allowed"},
		{"OddMethod", "BREW", "/api/orders", 405, "method_not_allowed"},
		{"OddMethodNowhere", "BREW", "/nope", 404, "not_found"},
		{"Metrics", "GET", "/metrics", 404, "not_found"},
		{"Schemas", "GET", "/schemas/Order.json", 404, "not_found"},
		{"OpenAPI30", "GET", "/openapi-3.0.json", 404, "not_found"},
	} {
		s := scenario{name: tt.name, method: tt.method, path: tt.path, wantStatus: tt.status, wantBody: tt.want}
		if tt.status == http.StatusMethodNotAllowed {
			s.wantHeader = []string{"Allow", "GET, POST, HEAD"}
		}
		scenarios = append(scenarios, s)
	}
	stream := []string{"Accept", "text/event-stream"}
	scenarios = append(scenarios,
		scenario{
			name: "NoSuchOrdersStream", method: "GET", path: unknown + "/events", header: stream,
			wantStatus: 404, wantBody: "order_not_found",
		},
		scenario{
			name: "StreamBeyond", method: "GET", path: of + "/events?after=9", header: stream,
			wantStatus: 400, wantBody: "query.after",
		},
		scenario{
			name: "NotAcceptable", method: "POST", path: "/api/orders", body: seedBody,
			header: []string{"Accept", "application/xml"}, wantStatus: 406, wantBody: "not_acceptable",
		},
		scenario{name: "MethodOfOne", method: "PUT", path: of, wantStatus: 405, wantHeader: []string{"Allow", "GET, HEAD"}},
	)
	return scenarios
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	of := "/api/orders/" + storetest.Order(t, h.store).ID.String()
	for _, s := range badInput(of) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, h)
		})
	}
	t.Cleanup(func() {
		list, err := h.store.Orders.List(context.Background(), storeFilter())
		require.NoError(t, err)
		require.Len(t, list, 1, "something was stored")
	})
}

// A client may lie about how long its body is, or break off.
func TestBodyWithoutLength(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	body := strings.NewReader(strings.Repeat(" ", 300<<10))
	hidden := struct{ io.Reader }{body}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/orders", hidden)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	require.Equal(t, int64(0), r.ContentLength)
	got := h.send(t, r)
	require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	require.Equal(t, "body_too_large", got.problem(t).Code)
}

func TestHeaderTwice(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/orders", strings.NewReader(seedBody))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header["Idempotency-Key"] = []string{"a", "b"}
	got := h.send(t, r)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Equal(t, "header.Idempotency-Key", got.problem(t).Errors[0].Location)
}

// Text is data: it is stored and given back as it came, and means nothing to SQL, to JSON or to the log.
func TestHostileText(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	for _, text := range []string{
		`'; DROP TABLE orders; --`, `$1`, `%s%n`, `<script>alert(1)</script>`, "a\nb\tc", `{"$ne":1}`, `\u0000`, "𝕏 é\u202e",
		strings.Repeat("é", orders.MaxTextLength),
	} {
		body := fmt.Sprintf(`{"customerId":"1","paymentMethod":%s,"items":[{"productId":1,"quantity":1,"price":1}]}`,
			quote(t, text))
		got := h.do(t, http.MethodPost, "/api/orders", body)
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		require.Equal(t, text, got.order(t).PaymentMethod)
	}
}
