package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

const someID = "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"

// concrete fills a path of the document in.
func (o operation) concrete() string {
	return strings.NewReplacer("{id}", someID, "{webhookId}", someID, "{deliveryId}", someID, "{productId}", "1",
		"{customerId}", "1", "{userId}", "1", "{name}", "x").Replace(o.path)
}

// request builds a request with a body, headers as name, value, and the Host header if "Host" is among them.
func (h *harness) request(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return h.send(t, r)
}

// TestOtherSites: a page of another site changes nothing through its visitor's browser, with or without keys.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	const shop, stranger = "https://shop.example", "https://evil.example"
	allow := func(c *api.Config) { c.AllowedOrigins = []string{shop} }
	open := serve(t, storetest.Pool(t), allow)
	keyed := serve(t, storetest.Pool(t), allow, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Token: "s3cret"})
	})
	for name, from := range map[string][]string{
		"Fetch": {"Origin", stranger, "Sec-Fetch-Site", "cross-site"}, "OldBrowser": {"Origin", stranger},
		"Sandbox": {"Origin", "null"}, "Sibling": {"Origin", "https://x.shop.example", "Sec-Fetch-Site", "same-site"},
		"OtherPort": {"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"},
		"NoOrigin":  {"Sec-Fetch-Site", "cross-site"},
	} {
		for _, op := range operations(t) {
			if op.method == http.MethodGet {
				continue
			}
			for _, h := range []*harness{open, keyed} {
				got := h.request(t, op.method, op.concrete(), op.body,
					append(from, "Content-Type", "application/json", "Authorization", "Bearer s3cret")...)
				require.Equal(t, http.StatusForbidden, got.status, "%s %s: %s", name, op.id, got.body)
				require.Equal(t, "cross_origin", got.problem(t).Code)
			}
		}
	}
	for name, from := range map[string][]string{
		"Allowed": {"Origin", shop, "Sec-Fetch-Site", "cross-site"}, "Own": {"Sec-Fetch-Site", "same-origin"},
		"Typed": {"Sec-Fetch-Site", "none"}, "Program": nil, "OwnOrigin": {"Origin", open.URL},
	} {
		got := open.request(t, http.MethodPost, "/api/orders", seedBody, append(from, "Content-Type", "application/json")...)
		require.Equal(t, http.StatusAccepted, got.status, "%s: %s", name, got.body)
	}
	got := keyed.request(t, http.MethodPost, "/api/orders", seedBody, "Origin", shop, "Sec-Fetch-Site", "cross-site",
		"Content-Type", "application/json", "Authorization", "Bearer s3cret")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
}

// TestMediaType: what a form or a page can send without being asked is not taken for JSON, by no operation.
func TestMediaType(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	for _, op := range operations(t) {
		if op.body == "" {
			continue
		}
		for _, media := range []string{
			"", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/json5",
			"application/json, text/plain", "text/plain; application/json", "json", "+json",
		} {
			got := h.request(t, op.method, op.concrete(), op.body, "Content-Type", media)
			require.Equal(t, http.StatusUnsupportedMediaType, got.status, "%s %q: %s", op.id, media, got.body)
			require.Equal(t, "unsupported_media_type", got.problem(t).Code)
		}
		for _, media := range []string{
			"application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json", "application/vnd.shop+json",
		} {
			got := h.request(t, op.method, op.concrete(), op.body, "Content-Type", media)
			require.NotEqual(t, http.StatusUnsupportedMediaType, got.status, "%s %q: %s", op.id, media, got.body)
		}
	}
	got := h.request(t, http.MethodPost, "/api/stream-tickets", "")
	require.Equal(t, http.StatusCreated, got.status, "without a body there is nothing to declare: %s", got.body)
}

// TestLocal: an open server answers this machine only. A server that asks for keys has a proxy in front.
func TestLocal(t *testing.T) {
	t.Parallel()
	open := serve(t, storetest.Pool(t))
	keyed := serve(t, storetest.Pool(t), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Token: "s3cret"})
	})
	paths := []string{"/api/orders", "/api/nothing", "/health", "/docs/", "/openapi.json"}
	for _, header := range [][]string{
		{"Host", "millrace.example"},
		{"Host", "evil.example:8080"},
		{"Host", "192.168.0.7"},
		{"Host", "[::2]:8080"},
		{"Host", "localhost.evil.example"},
		{"Host", "127.0.0.1.evil.example"},
		{"Host", "0.0.0.0"},
		{"X-Forwarded-For", "127.0.0.1"},
		{"X-Forwarded-Host", "localhost"},
		{"X-Forwarded-Proto", "https"},
		{"x-forwarded-prefix", "/"},
		{"Forwarded", "for=127.0.0.1"},
		{"Via", "1.1 proxy"},
		{"X-Real-IP", "127.0.0.1"},
		{"True-Client-IP", "127.0.0.1"},
		{"CF-Connecting-IP", "127.0.0.1"},
		{"X-Forwarded-For", ""},
	} {
		for _, path := range paths {
			got := open.request(t, http.MethodGet, path, "", header...)
			require.Equal(t, http.StatusMisdirectedRequest, got.status, "%s %s: %s", header, path, got.body)
			require.Equal(t, "not_local", got.problem(t).Code)
		}
		got := keyed.request(t, http.MethodGet, "/api/orders", "", append(header, "Authorization", "Bearer s3cret")...)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", header, got.body)
	}
	for _, host := range []string{
		"localhost", "LocalHost:8080", "127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:80",
	} {
		got := open.request(t, http.MethodGet, "/api/orders", "", "Host", host)
		require.Equal(t, http.StatusOK, got.status, "%s: %s", host, got.body)
	}
	require.ErrorIs(t, auth.CheckLocal(&http.Request{RemoteAddr: "192.0.2.1:9", Host: "localhost"}), auth.ErrNotLocal)
	require.NoError(t, auth.CheckLocal(&http.Request{RemoteAddr: "[::1]:9", Host: "localhost"}))
}

// TestOpenEnds: what was open to this machine asks for a key from one moment to the next, of what is under way as well.
func TestOpenEnds(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	h := live(t, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Open: true, Closed: closed})
		c.Heartbeat = 50 * time.Millisecond
	})
	id := storetest.Order(t, h.store).ID
	stream := h.open(t, id, "")
	stream.events(t, 1)
	h.apply(t, succeeded(id, orders.AuthorizePayment)...)
	stream.events(t, 1) // it goes on until then
	ticket := h.ticket(t, "")
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "").status)
	close(closed)
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/orders", "").status)
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)
	got := h.request(t, http.MethodGet, "/api/orders", "", "X-Forwarded-For", "192.0.2.1", "Host", "millrace.example",
		"Authorization", "Bearer "+h.key(t, roles.Viewer))
	require.Equal(t, http.StatusOK, got.status, "from now on a proxy may be in front: %s", got.body)
	for more := true; more; {
		_, more = stream.next(t)
	}
}
