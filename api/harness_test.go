package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// seedBody is what the seed's curl line sends.
const seedBody = `{"customerId":"1","items":[{"productId":1,"quantity":2,"price":29.99},` +
	`{"productId":2,"quantity":1,"price":149.99}]}`

// document is the document of the API as JSON. Making it takes a second under the race detector.
var document = sync.OnceValues(func() ([]byte, error) {
	asJSON, _, err := api.OpenAPI("test")
	return asJSON, err
})

// leaks are expressions for what no answer may contain, in lower case, each with a word that all its matches contain.
// It is looked for first, because expressions alone would be half of the work of TestContract.
var leaks = map[string]*regexp.Regexp{
	"pgx": regexp.MustCompile(`\bpgx\b`), "huma": regexp.MustCompile(`\bhuma\b`),
	"goroutine": regexp.MustCompile(`goroutine [0-9]`),
	"sqlstate":  nil, ".go:": nil, "go struct": nil, "go value": nil, "postgres": nil, "json:": nil, "strconv": nil,
}

// leak returns the word by which a text shows Millrace's inside; empty if there is none.
func leak(text string) string {
	text = strings.ToLower(text)
	for word, expression := range leaks {
		if strings.Contains(text, word) && (expression == nil || expression.MatchString(text)) {
			return word
		}
	}
	return ""
}

// noLeak requires that an answer shows nothing of Millrace's inside, whatever went wrong.
func noLeak(t *testing.T, body string, what ...any) {
	t.Helper()
	if word := leak(body); word != "" {
		require.NotContains(t, strings.ToLower(body), word, what...)
	}
}

func TestLeak(t *testing.T) {
	t.Parallel()
	for text, word := range map[string]string{
		"error of pgx: x": "pgx", "at Goroutine 7 [running]": "goroutine", "ERROR (SQLSTATE 42P01)": "sqlstate",
		"Huma failed": "huma", "order.go:12": ".go:", "Postgres": "postgres",
		"a human wrote xpgxx": "", "goroutines": "", `{"status":"completed"}`: "",
	} {
		require.Equal(t, word, leak(text), text)
	}
}

// harness is an API on a real listener.
type harness struct {
	*httptest.Server
	api      *api.Server
	auth     *auth.Authenticator
	store    *store.Store
	pool     store.DB
	registry *prometheus.Registry
	log      *safeBuffer
}

func serve(t *testing.T, db store.DB, change ...func(*api.Config)) *harness {
	t.Helper()
	h := &harness{store: storetest.New(t, db), pool: db, registry: prometheus.NewRegistry(), log: new(safeBuffer)}
	cached, err := cache.New(cache.Config{Load: h.store.Orders.Get})
	require.NoError(t, err)
	t.Cleanup(cached.Close)
	c := api.Config{
		Store: h.store, Cache: cached, Registerer: h.registry, Version: "test",
		Auth:   auth.New(auth.Config{Keys: h.store.Credentials, Open: true}),
		Logger: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&c)
	}
	h.auth, h.api = c.Auth, api.New(c)
	h.Server = httptest.NewServer(h.api)
	t.Cleanup(func() {
		h.api.Drain() // or streams go on reading while the test's transaction is rolled back
		h.Close()
	})
	return h
}

type answer struct {
	status int
	header http.Header
	body   string
}

// problem decodes the body, which must be a problem.
func (a answer) problem(t *testing.T) problems.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	var p problems.Problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, a.status, p.Status)
	require.Equal(t, a.header.Get("X-Request-Id"), p.RequestID)
	return p
}

func (a answer) order(t *testing.T) api.Order {
	t.Helper()
	var o api.Order
	require.NoError(t, json.Unmarshal([]byte(a.body), &o), a.body)
	return o
}

// do sends a request with headers given as name, value, name, value.
func (h *harness) do(t *testing.T, method, path, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
	}
	return h.send(t, r)
}

func (h *harness) send(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := h.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(b)}
}

// sendUntil sends a request again until it is answered with a status that will do.
func (h *harness) sendUntil(t *testing.T, r *http.Request, good func(status int) bool) *http.Response {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			body, err := r.GetBody()
			require.NoError(t, err)
			again.Body = body
		}
		response, err := h.Client().Do(again)
		if err != nil {
			continue
		}
		if good(response.StatusCode) {
			return response
		}
		response.Body.Close()
	}
	require.Fail(t, "there is no good answer", "%s %s", r.Method, r.URL)
	return nil
}

// apply makes events happen to an order.
func (h *harness) apply(t *testing.T, events ...orders.Event) {
	t.Helper()
	for _, e := range events {
		applied, err := h.store.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
		require.True(t, applied[0].Changed, "%s %s changed nothing", e.Kind, e.Step)
	}
}

func succeeded(id orders.ID, steps ...orders.StepName) (events []orders.Event) {
	for _, step := range steps {
		events = append(events, storetest.Outcome(id, step, orders.StepSucceeded))
	}
	return events
}

// completion is every event of an order that goes well, but the e-mail.
func completion(id orders.ID) []orders.Event {
	return succeeded(id, orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping,
		orders.CapturePayment, orders.BookShipment)
}

func cancellation(id orders.ID) orders.Event {
	return orders.Event{OrderID: id, Kind: orders.CancelRequested, At: time.Now()}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
