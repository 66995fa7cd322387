package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "0198c7a4-0000-7000-8000-000000000001:authorize_payment:1"

// serve starts a provider, and returns the clients with it as all four of them, below /<provider>.
func serve(t *testing.T, c upstream.Config, h http.HandlerFunc) *upstream.Clients {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c.URLs = urls(server.URL)
	clients, err := upstream.New(c)
	require.NoError(t, err)
	t.Cleanup(clients.Close)
	return clients
}

func urls(base string) map[orders.Provider]string {
	m := map[orders.Provider]string{}
	for _, p := range orders.Providers() {
		m[p] = base + "/" + string(p)
	}
	return m
}

func authorize(t *testing.T, c *upstream.Clients) (string, error) {
	t.Helper()
	body := []byte(`{"orderId":"o1","amount":209.97,"currency":"USD"}`)
	answer, err := c.Send(t.Context(), orders.AuthorizePayment, key, body)
	return answer.Reference, err
}

func TestSendCarriesKeyAndExactBytes(t *testing.T) {
	t.Parallel()

	sent := []byte("{\"amount\": 209.970,\n \"customerId\":\"\\u00fc<>&\"} ")
	var got http.Header
	var gotBody []byte
	var line string
	c := serve(t, upstream.Config{Tokens: map[orders.Provider]string{orders.Payment: "s3cret"}},
		func(w http.ResponseWriter, r *http.Request) {
			got, line = r.Header, r.Method+" "+r.RequestURI
			gotBody, _ = io.ReadAll(r.Body)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"id":"auth_1"}`)
		})

	answer, err := c.Send(t.Context(), orders.AuthorizePayment, key, sent)
	reference := answer.Reference
	require.NoError(t, err)
	require.Equal(t, "auth_1", reference)
	require.Equal(t, "POST /payment/authorizations", line)
	require.Equal(t, sent, gotBody)
	require.Equal(t, key, got.Get("Idempotency-Key"))
	require.Equal(t, "application/json", got.Get("Content-Type"))
	require.Equal(t, "application/json", got.Get("Accept"))
	require.Equal(t, "millrace", got.Get("User-Agent"))
	require.Equal(t, "Bearer s3cret", got.Get("Authorization"))

	_, err = c.Send(t.Context(), orders.SendEmail, key, sent)
	require.NoError(t, err)
	require.Equal(t, "POST /email/messages", line)
	require.Empty(t, got.Get("Authorization"), "the token is the payment provider's")
}

func TestRoute(t *testing.T) {
	t.Parallel()

	var path atomic.Value
	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
		path.Store(r.URL.Path)
		_, _ = io.WriteString(w, `{"id":"1"}`)
	})
	for _, spec := range orders.Specs() {
		_, err := c.Send(t.Context(), spec.Name, key, []byte(`{}`))
		require.NoError(t, err, spec.Name)
		require.Equal(t, "/"+string(spec.Provider)+"/"+spec.Path, path.Load())
	}

	_, err := c.Send(t.Context(), "steal_payment", key, []byte(`{}`))
	require.ErrorContains(t, err, "not in the saga")
	_, err = c.Ask(t.Context(), "steal_payment", key, nil)
	require.ErrorContains(t, err, "not in the saga")
	_, err = c.Send(t.Context(), orders.SendEmail, "a\r\nb", []byte(`{}`))
	require.ErrorContains(t, err, "key")
	_, err = c.Send(t.Context(), orders.SendEmail, key, nil)
	require.ErrorContains(t, err, "body")
	_, err = c.Ask(t.Context(), orders.SendEmail, "", nil)
	require.ErrorContains(t, err, "key")
}

func TestAsk(t *testing.T) {
	t.Parallel()

	succeeded := upstream.Answer{State: orders.StateSucceeded, Reference: "a1"}
	numbered := upstream.Answer{State: orders.StateSucceeded, Reference: "7"}
	declined := upstream.Answer{State: orders.StateRefused, Code: "card_declined"}
	none := upstream.Answer{}
	const unavailable, misconfigured = "*upstream.UnavailableError", "*upstream.MisconfiguredError"
	for name, test := range map[string]struct {
		status  int
		body    string
		want    upstream.Answer
		wantErr string
	}{
		"succeeded":         {200, `{"state":"succeeded","id":"a1"}`, succeeded, "<nil>"},
		"refused":           {200, `{"state":"refused","code":"card_declined"}`, declined, "<nil>"},
		"never arrived":     {404, ``, upstream.Answer{State: orders.StateUnknown}, "<nil>"},
		"numbered":          {200, `{"state":"succeeded","id":7}`, numbered, "<nil>"},
		"odd neighbour":     {200, `{"state":"refused","code":"card_declined","id":{}}`, declined, "<nil>"},
		"other state":       {200, `{"state":"pending"}`, none, unavailable},
		"no id":             {200, `{"state":"succeeded"}`, none, unavailable},
		"other key":         {200, `{"state":"succeeded","id":"a1","key":"k"}`, none, unavailable},
		"no, to another":    {200, `{"state":"refused","code":"card_declined","key":"k"}`, none, unavailable},
		"other amount":      {200, `{"state":"succeeded","id":"a1","amount":2}`, none, unavailable},
		"not whole":         {206, `{"state":"succeeded","id":"a1"}`, none, unavailable},
		"not yet":           {202, `{"state":"succeeded","id":"a1"}`, none, unavailable},
		"bad JSON":          {200, `<html>`, none, unavailable},
		"empty":             {200, ``, none, unavailable},
		"huge":              {200, `{"state":"succeeded"}` + strings.Repeat(" ", 70<<10), none, unavailable},
		"down":              {503, ``, none, unavailable},
		"wrong token":       {401, ``, none, misconfigured},
		"402 is not a word": {402, `{"code":"x"}`, none, misconfigured},
		"422 is not a word": {422, `{"code":"x"}`, none, misconfigured},
		"redirect":          {302, ``, none, misconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			var line string
			c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
				line = r.Method + " " + r.URL.Path
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			answer, err := c.Ask(t.Context(), orders.BookShipment, key, []byte(`{"amount":1,"currency":"USD"}`))
			require.Equal(t, "GET /shipping/operations/"+key, line)
			require.Equal(t, test.want, answer)
			require.Equal(t, test.wantErr, fmt.Sprintf("%T", err))
		})
	}
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()

	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/payment/voids":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, strings.Repeat("x", 60<<10))
		case "/payment/captures":
			w.WriteHeader(http.StatusPaymentRequired)
		}
		_, _ = io.WriteString(w, `{"id":"1"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := upstream.New(upstream.Config{URLs: urls(server.URL)})
	require.NoError(t, err)
	t.Cleanup(c.Close)

	const rounds = 20
	for range rounds {
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.VoidPayment, orders.CapturePayment} {
			_, _ = c.Send(t.Context(), step, key, []byte(`{}`))
		}
		_, _ = c.Ask(t.Context(), orders.VoidPayment, key, nil)
	}
	// Not 1: net/http closes a connection whose write is not over 50 ms after the answer, as on a busy machine.
	require.Less(t, connections.Load(), int32(rounds), "after no kind of answer is there always a new one")
}

func TestMetrics(t *testing.T) {
	t.Parallel()

	registry := prometheus.NewPedanticRegistry()
	status := http.StatusOK
	c := serve(t, upstream.Config{Registerer: registry}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":"1"}`)
	})
	for _, status = range []int{200, 402, 404, 503, 503, 503, 503, 503, 200} {
		_, _ = authorize(t, c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Ask(ctx, orders.SendEmail, key, nil)
	require.ErrorIs(t, err, context.Canceled)

	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]uint64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			if h := metric.GetHistogram(); h != nil {
				counts[strings.Join(labels, " ")] = h.GetSampleCount()
			}
		}
	}
	require.Equal(t, map[string]uint64{ // outcome, provider, step
		"ok payment authorize_payment":            1,
		"refused payment authorize_payment":       1,
		"misconfigured payment authorize_payment": 1,
		"unavailable payment authorize_payment":   5,
		"open payment authorize_payment":          1,
		"cancelled email ask":                     1,
	}, counts)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP millrace_breaker_state Circuit breaker of a provider: 0 closed, 1 half-open, 2 open.
# TYPE millrace_breaker_state gauge
millrace_breaker_state{provider="email"} 0
millrace_breaker_state{provider="inventory"} 0
millrace_breaker_state{provider="payment"} 2
millrace_breaker_state{provider="shipping"} 0
`), "millrace_breaker_state"))

	_, err = upstream.New(upstream.Config{URLs: urls("http://localhost"), Registerer: registry})
	require.Error(t, err, "the metrics are taken")
}

func TestNewReportsAllProblemsAndNoSecret(t *testing.T) {
	t.Parallel()

	_, err := upstream.New(upstream.Config{
		URLs: map[orders.Provider]string{
			orders.Payment:   "https://user:hunter2@example.com",
			orders.Inventory: "ftp://example.com/hunter2",
			orders.Shipping:  "https://example.com/?key=hunter2",
		},
		Tokens:  map[orders.Provider]string{orders.Payment: "hunter2\n"},
		Timeout: -time.Second,
		Breaker: upstream.Breaker{Ratio: 50},
	})
	for _, want := range []string{
		"payment: the URL has credentials", "payment: the token", "inventory: the URL must", "shipping: the URL has a query",
		"email: no URL", "timeout", "breaker",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "hunter2")

	for _, bad := range []string{
		"localhost:8082", "/payments", "http://", "http://a b", "://", "http://:80", "http://u:hunter2@[::1",
	} {
		u := urls("http://localhost")
		u[orders.Email] = bad
		_, err := upstream.New(upstream.Config{URLs: u})
		require.ErrorContains(t, err, "email: ", bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	require.NotNil(t, must(http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "http", Host: "example.com"}})))
	c, err := upstream.New(upstream.Config{URLs: urls("http://nowhere.invalid")})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	_, err = authorize(t, c)
	require.ErrorContains(t, err, "lookup nowhere.invalid", "the name is looked up here, not at a proxy")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
