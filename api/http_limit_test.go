package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func limited(n int, now func() time.Time) func(*api.Config) {
	return func(c *api.Config) {
		c.Limits.Base, c.Limiter = n, limit.New(limit.Config{Now: now})
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h := serve(t, storetest.Tx(t), limited(3, func() time.Time { return now }))
	for i, path := range []string{"/api/orders", "/api/orders?limit=0", "/api/nothing"} {
		got := h.do(t, http.MethodGet, path, "")
		require.NotEqual(t, http.StatusTooManyRequests, got.status)
		require.Equal(t, `"default";q=3;w=60`, got.header.Get("RateLimit-Policy"))
		require.Equal(t, fmt.Sprintf(`"default";r=%d;t=60`, 2-i), got.header.Get("RateLimit"))
		require.Empty(t, got.header.Get("Retry-After"))
	}
	now = now.Add(500 * time.Millisecond)
	for _, s := range []scenario{
		{method: "GET", path: "/api/orders"},
		{method: "POST", path: "/api/orders", body: seedBody},
		{method: "GET", path: "/api/orders?foo=1"},
		{method: "GET", path: "/api/orders/x/events", header: []string{"Accept", "text/event-stream"}},
		{method: "GET", path: "/api/nothing"},
		{method: "DELETE", path: "/api/orders"},
		{method: "POST", path: "/api/orders", body: strings.Repeat("x", 300<<10)},
	} {
		s.wantStatus, s.wantBody = 429, `"code":"rate_limited"`
		s.wantHeader = []string{
			"Retry-After", "60", "RateLimit", `"default";r=0;t=60`, "RateLimit-Policy", `"default";q=3;w=60`, "Allow", "",
		}
		s.run(t, h)
	}
	for _, path := range []string{"/health", "/health/live", "/health/ready", "/openapi.json", "/openapi.yaml", "/docs/"} {
		got := h.do(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, got.status, path)
		require.Empty(t, got.header.Get("RateLimit"))
	}
	require.Contains(t, h.metrics(t), `millrace_rate_limited_total{subject="address"} 7`)
	require.Contains(t, h.metrics(t), `order_requests_total{action="create",status="rate_limited"} 1`)
	require.Contains(t, h.metrics(t), `order_requests_total{action="list",status="rate_limited"} 2`)

	now = now.Add(59*time.Second + 500*time.Millisecond)
	got := h.do(t, http.MethodGet, "/api/orders", "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, `"default";r=2;t=60`, got.header.Get("RateLimit"))
}

func TestRateLimitOff(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	for range 3 {
		got := h.do(t, http.MethodGet, "/api/orders", "")
		require.Equal(t, http.StatusOK, got.status)
		require.Empty(t, got.header.Get("RateLimit"))
	}
}

func TestRateLimitBehindProxy(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), limited(1, nil), func(c *api.Config) {
		c.Auth = nil // what is refused counts for its address
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	})
	for from, status := range map[string]int{"192.0.2.1": 401, "192.0.2.2": 401, "2001:db8::1": 401} {
		require.Equal(t, status, h.do(t, http.MethodGet, "/api/orders", "", "X-Forwarded-For", from).status, from)
	}
	for _, from := range []string{"192.0.2.1", "1.2.3.4, 192.0.2.1", "2001:db8::2"} {
		require.Equal(t, 429, h.do(t, http.MethodGet, "/api/orders", "", "X-Forwarded-For", from).status, from)
	}
}

// A principal is limited from every address. A caller that guesses credentials is limited, and does not hold up callers
// with a right credential.
func TestRateLimitByPrincipal(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), limited(2, nil), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute, Token: "s3cret"})
	})
	guess := func() answer { return h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer wrong") }
	for range 2 {
		got := guess()
		require.Equal(t, http.StatusUnauthorized, got.status)
		require.NotEmpty(t, got.header.Get("RateLimit"))
	}
	got := guess()
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "rate_limited", got.problem(t).Code)
	require.Empty(t, got.header.Get("WWW-Authenticate"))
	require.NotEmpty(t, got.header.Get("Retry-After"))

	for _, status := range []int{200, 200, 429} {
		require.Equal(t, status, h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer s3cret").status)
	}
	require.Contains(t, h.metrics(t), `millrace_rate_limited_total{subject="principal"} 1`)
	require.Contains(t, h.metrics(t), `millrace_rate_limited_total{subject="address"} 1`)
}

// A role may have a limit of its own, or none. Addresses, and principals of other roles, have the common one.
func TestRateLimitByRole(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h := serve(t, storetest.Pool(t), limited(1, func() time.Time { return now }), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
		c.Limits.Roles = map[roles.Role]int{roles.Service: 0, roles.Operator: 3, roles.Admin: 0}
	})
	for role, want := range map[roles.Role]int{
		roles.Customer: 1, roles.Viewer: 1, roles.Operator: 3, roles.Service: 0, roles.Admin: 0,
	} {
		key := h.key(t, role)
		for i := range 6 {
			got := h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+key)
			status, policy, left := http.StatusOK, "", ""
			if want > 0 {
				policy = fmt.Sprintf(`"default";q=%d;w=60`, want)
				left = fmt.Sprintf(`"default";r=%d;t=60`, max(0, want-i-1))
				if i >= want {
					status = http.StatusTooManyRequests
				}
			}
			require.Equal(t, status, got.status, "%s: %s", role, got.body)
			require.Equal(t, policy, got.header.Get("RateLimit-Policy"), role)
			if status == http.StatusOK {
				require.Equal(t, left, got.header.Get("RateLimit"), role)
			}
		}
	}
	// A wrong key of a service is an address like all others.
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests} {
		got := h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+h.key(t, roles.Service)+"x")
		require.Equal(t, status, got.status)
	}
}

// A stream passes the limiter like any other answer, flushes and all.
func TestRateLimitStream(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t), limited(1, nil)) // which the stream reads from until it ends
	s := h.open(t, storetest.Order(t, h.store).ID, "")
	require.Equal(t, http.StatusOK, s.StatusCode)
	require.Equal(t, `"default";r=0;t=60`, s.Header.Get("RateLimit"))
}

// TestRateLimitWithoutDatabase: a database that hangs must not hold up a decision.
func TestRateLimitWithoutDatabase(t *testing.T) {
	t.Parallel()
	sharing, release := make(chan struct{}, 1), make(chan struct{})
	limiter := limit.New(limit.Config{
		Share: func(context.Context, []store.RateCount, time.Time) ([]store.RateCount, error) {
			select {
			case sharing <- struct{}{}:
			default: // it shares what is left, too
			}
			<-release
			return nil, store.ErrUnavailable
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { limiter.Run(ctx) })
	h := serve(t, storetest.Tx(t), func(c *api.Config) { c.Limits.Base, c.Limiter = 5, limiter })
	for i := range 10 {
		want := http.StatusOK
		if i >= 5 {
			want = http.StatusTooManyRequests
		}
		require.Equal(t, want, h.do(t, http.MethodGet, "/api/orders", "").status)
		if i == 0 {
			<-sharing // which hangs from now on
		}
	}
	cancel()
	close(release)
	running.Wait()
}
