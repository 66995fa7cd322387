package board_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/board"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// desk is a board with its store, seen by one caller.
type desk struct {
	url    string
	store  *store.Store
	db     store.DB
	server *atomic.Pointer[store.ServerHealth]
}

// healthy is a server at which there is nothing to look at. The tests' own server has too much to do with other tests.
func healthy() *atomic.Pointer[store.ServerHealth] {
	server := new(atomic.Pointer[store.ServerHealth])
	server.Store(&store.ServerHealth{Visible: true, Connections: 10, ConnectionsLimit: 100, PartitionsAhead: 1})
	return server
}

func open(t *testing.T, db store.DB, operates bool) desk {
	t.Helper()
	s, health := storetest.New(t, db), healthy()
	server := httptest.NewServer(board.New(board.Config{
		Store: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Version: "1.0.0",
		Server: func(context.Context) (store.ServerHealth, error) { return *health.Load(), nil },
		Troubles: func() []store.Trouble {
			return []store.Trouble{{Alert: "MillraceDatabaseSlow", Text: "Its statements waited: " + hostile}}
		},
		Caller: func(*http.Request) board.Caller {
			return board.Caller{Actor: store.Actor{Name: "ann", Role: roles.Operator}, Operates: operates}
		},
	}))
	t.Cleanup(server.Close)
	return desk{server.URL, s, db, health}
}

type page struct {
	status int
	header http.Header
	body   string
}

func (d desk) send(t *testing.T, r *http.Request) page {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return page{response.StatusCode, response.Header, string(body)}
}

func (d desk) get(t *testing.T, path string) page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
	require.NoError(t, err)
	return d.send(t, r)
}

func (d desk) post(t *testing.T, path string, form ...string) page {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url+path, strings.NewReader(values.Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.send(t, r)
}

func (d desk) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := d.db.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// attention makes an order that needs a decision.
func (d desk) attention(t *testing.T, customer string) orders.ID {
	t.Helper()
	placement := storetest.Placement()
	placement.CustomerID = customer
	placed, err := d.store.Orders.Place(t.Context(), []orders.Placement{placement})
	require.NoError(t, err)
	id := placed[0].Order.ID
	authorised := storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded)
	authorised.Reference = "pay_1"
	for _, e := range []orders.Event{
		authorised, storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded),
		storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(id, orders.VoidPayment, orders.StepRefused),
	} {
		_, err := d.store.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
	}
	return id
}

// TestRefresh gives a page a new part when something has changed, and nothing otherwise.
func TestRefresh(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Pool(t), true)
	seen := func(body string) string {
		found := regexp.MustCompile(`seen=([0-9a-f]+)`).FindStringSubmatch(body)
		require.NotNil(t, found)
		return found[1]
	}
	first := d.get(t, "/board/")
	require.Equal(t, http.StatusOK, first.status)
	require.Contains(t, first.body, "No process with workers is alive", "the worst comes first")
	unchanged := d.get(t, "/board/now?seen="+seen(first.body))
	require.Equal(t, http.StatusNoContent, unchanged.status)
	require.Empty(t, unchanged.body)

	storetest.Order(t, d.store)
	require.Eventually(t, func() bool {
		got := d.get(t, "/board/now?seen="+seen(first.body))
		return got.status == http.StatusOK && strings.Contains(got.body, "<dt>Pending</dt><dd>1</dd>") &&
			!strings.Contains(got.body, "<html")
	}, time.Minute, 50*time.Millisecond)
}

// TestRedrive dry-runs and redrives the orders of one cause.
func TestRedrive(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Pool(t), true)
	id := d.attention(t, "1")
	cause := []string{
		"step", "void_payment", "state", "refused", "code", "refused", "rate", "5", "reason", "It is up again",
	}
	jobs := func() (n int) {
		require.NoError(t, d.db.QueryRow(t.Context(),
			"SELECT count(*) FROM river_job WHERE kind = 'redrive'").Scan(&n))
		return n
	}
	for name, form := range map[string][]string{
		"reason": {"reason", ""}, "lines": {"reason", "a\nb"}, "rate": {"rate", "1000"}, "cause": {"code", "none"},
	} {
		got := d.post(t, "/board/attention/redrive", append(append([]string{}, cause...), form...)...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
	}
	for _, field := range []string{"step", "state", "code"} { // an order without a cause, from whatever version
		d.exec(t, "UPDATE orders SET cause_"+field+" = '' WHERE id = $1", id)
		got := d.post(t, "/board/attention/redrive", append(append([]string{}, cause...), field, "")...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, field)
		require.Zero(t, jobs(), field)
		d.exec(t, "UPDATE orders SET cause_step = 'void_payment', cause_state = 'refused', cause_code = 'refused'")
	}
	got := d.post(t, "/board/attention/dry-run", cause...)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "A redrive would try 1 order. Nothing was done.")
	require.Contains(t, got.body, "void payment, attempt 2")
	require.Contains(t, got.body, `value="It is up again"`, "the form keeps what was typed")
	require.Zero(t, jobs())

	got = d.post(t, "/board/attention/redrive", cause...)
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "The redrive of 1 order has begun.")
	require.Contains(t, got.body, id.String())
	require.Equal(t, 1, jobs())
	var principal, reason string
	require.NoError(t, d.db.QueryRow(t.Context(),
		"SELECT args ->> 'principal', args ->> 'reason' FROM river_job WHERE kind = 'redrive'").Scan(&principal, &reason))
	require.Equal(t, "ann", principal)
	require.Equal(t, "It is up again", reason)
}

// TestViewer sees every page and no form, and is refused again behind the operations address.
func TestViewer(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), false)
	id := d.attention(t, "1")
	cause := "?step=void_payment&state=refused&code=refused"
	for _, path := range []string{
		"/board/", "/board/lanes/payment", "/board/attention" + cause, "/board/findings", "/board/webhooks", "/board/audit",
		"/board/orders/" + id.String(), "/board/search?q=1",
	} {
		got := d.get(t, path)
		require.Equal(t, http.StatusOK, got.status, path)
		require.NotContains(t, got.body, `method="post"`, path)
		require.Contains(t, got.body, "you may look, and not act", path)
	}
	for _, path := range []string{
		"/board/lanes/payment/pause", "/board/lanes/payment/resume", "/board/attention/dry-run", "/board/attention/redrive",
	} {
		got := d.post(t, path, "step", "void_payment", "state", "refused", "code", "refused", "reason", "r", "rate", "1")
		require.Equal(t, http.StatusForbidden, got.status, path)
	}
	held, err := d.store.Levers.Read(t.Context())
	require.NoError(t, err)
	require.Empty(t, held.Lanes)
}

// TestUnavailable is what an operator sees when the database is down.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	d := open(t, pool, true)
	pool.Close()
	for _, path := range []string{
		"/board/", "/board/now", "/board/lanes/payment", "/board/attention", "/board/findings", "/board/webhooks",
		"/board/audit", "/board/search?q=1", "/board/orders/" + orders.NewID().String(), "/board/history",
	} {
		got := d.get(t, path)
		require.Equal(t, http.StatusServiceUnavailable, got.status, path)
		require.Contains(t, got.body, "database does not answer", path)
		if path != "/board/now" && path != "/board/history" {
			require.Contains(t, got.body, "This process: Its statements waited: &lt;script", path)
			require.Contains(t, got.body, "Runbook: MillraceDatabaseSlow.", path)
		}
	}
}

// TestBelongings shows an operator what other parts of the system have of an order.
func TestBelongings(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	id := d.attention(t, "1")
	bare := d.get(t, "/board/orders/"+id.String())
	require.Equal(t, http.StatusOK, bare.status)
	for _, title := range []string{"Messages to webhooks", "Findings of reconciliation", "What operators did"} {
		require.NotContains(t, bare.body, title, "there is none")
	}
	hook := orders.NewID()
	d.exec(t, `INSERT INTO millrace.webhook_endpoints (id, principal, customer_id, owner_customer_id, url, event_types,
			description, secret, rotation_key, state, disabled_reason, failures, busy_until, created_at, updated_at)
		VALUES ($1, 'p', '', '', 'https://shop.example.com', '{}', '', sha256('s'), '', 'enabled', '', 0, now(), now(),
			now())`,
		hook)
	d.exec(t, `INSERT INTO millrace.webhook_deliveries (id, endpoint_id, event_type, order_id, version, body, state,
			attempts, give_up_at, next_attempt_at, created_at)
		SELECT gen_random_uuid(), $1::uuid, 'OrderStatusUpdated', $2::uuid, v, '', 'pending', 1, 9, now(), now()
		FROM generate_series(1, 30) AS v`, hook, id)
	d.exec(t, `INSERT INTO millrace.webhook_attempts (endpoint_id, delivery_id, attempt, at, duration_ms, status, error,
			response)
		SELECT endpoint_id, id, 1, now(), 1, 503, 'status 503', '' FROM millrace.webhook_deliveries`)
	d.exec(t, `INSERT INTO millrace.reconciliation_findings (provider, kind, key, order_id, detail, state, first_seen_at,
			last_seen_at)
		VALUES ('payment', 'not_undone', $1::text || ':authorize_payment:1', $1::text, 'it is still held', 'open', now(),
			now())`, id.String())
	require.NoError(t, d.store.Audit.Write(t.Context(), []store.AuditEntry{
		{Actor: store.Actor{Name: "ada", Role: roles.Operator}, Action: "settleOrder", Target: id.String()},
		{Actor: store.Actor{Name: "bob"}, Action: "cancelOrder", Target: orders.NewID().String()},
	}))

	got := d.get(t, "/board/orders/"+id.String())
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, 20, strings.Count(got.body, "<td class=\"code\">"+hook.String()+"</td>"), "the newest 20")
	require.Contains(t, got.body, "<td>30</td>")
	require.NotContains(t, got.body, "<td>10</td>")
	for _, text := range []string{
		"status 503", "not undone", "it is still held", "settleOrder", `<td class="code">ada</td>`,
	} {
		require.Contains(t, got.body, text)
	}
	require.NotContains(t, got.body, "bob")
}
