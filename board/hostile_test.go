package board_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// hostile is what a stranger may have typed anywhere.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`

// TestHostile puts HTML wherever a text of someone else can be, and looks at every page.
func TestHostile(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	id := d.attention(t, hostile)
	d.exec(t, `UPDATE orders SET reason = $1, cause_code = left($1, 64)`, hostile)
	d.exec(t, `UPDATE order_steps SET reference = $1, reason = $1`, hostile)
	d.exec(t, `UPDATE order_events SET reference = $1, reason = $1, actor = $1`, hostile)
	d.exec(t, `INSERT INTO reconciliation_findings
			(provider, kind, key, order_id, detail, state, first_seen_at, last_seen_at, rechecked_at)
		VALUES ('payment', 'amount', $1, $1, $1, 'open', now(), now(), now())`, hostile)
	d.exec(t, `INSERT INTO webhook_endpoints (id, principal, customer_id, owner_customer_id, url, event_types, description,
			secret, rotation_key, state, disabled_reason, failures, failing_since, busy_until, created_at, updated_at)
		VALUES (gen_random_uuid(), $1, '', '', $1, '{}', $1, decode(repeat('00', 32), 'hex'), '', 'enabled', '', 9, now(),
			now(), now(), now())`, hostile)
	d.exec(t, `INSERT INTO verification (started_at, duration_seconds, orders, events, violations)
		VALUES (now(), 1, 1, 1, jsonb_build_array(jsonb_build_object('check', $1::text, 'count', 1, 'means', $1::text,
			'do', $1::text)))`, hostile)
	require.NoError(t, d.store.Audit.Write(t.Context(), []store.AuditEntry{{
		Actor: store.Actor{Name: hostile, Role: "admin"}, Action: hostile, Target: hostile,
		Detail: map[string]any{hostile: hostile, "allowed": false},
	}}))
	require.NoError(t, d.store.Processes.Report(t.Context(), store.Process{
		ID: hostile, Version: hostile, Role: "serve", StartedAt: time.Now(),
		ProcessReport: store.ProcessReport{
			Lanes: map[orders.Provider]store.LaneView{
				orders.Payment: {Breaker: hostile, LastError: hostile, LastErrorAt: time.Now()},
			},
			Troubles: []store.Trouble{{Alert: hostile, Text: hostile}},
		},
	}))
	_, err := d.store.Levers.PauseLane(t.Context(), orders.Email, store.NewHold{Reason: hostile}, store.Actor{Name: "x"})
	require.NoError(t, err)

	cause := url.Values{"step": {"void_payment"}, "state": {"refused"}, "code": {hostile[:min(len(hostile), 64)]}}
	for path, shows := range map[string]int{
		"/board/": 10, "/board/now": 10, "/board/lanes/payment": 2, "/board/lanes/email": 1, "/board/attention": 1,
		"/board/attention?" + cause.Encode(): 3, "/board/findings": 3, "/board/webhooks": 3, "/board/audit": 4,
		"/board/search?q=" + url.QueryEscape(hostile): 3, "/board/orders/" + id.String(): 8,
		"/board/search?q=" + url.QueryEscape(hostile+hostile+hostile+hostile): 1,
	} {
		got := d.get(t, path)
		require.Contains(t, []int{http.StatusOK, http.StatusUnprocessableEntity}, got.status, path)
		require.NotContains(t, got.body, "<script>alert", path)
		require.NotContains(t, got.body, "<img src=x", path)
		require.GreaterOrEqual(t, strings.Count(got.body, "&lt;script&gt;alert"), shows, path)
		require.Contains(t, got.header.Get("Content-Security-Policy"), "script-src 'self'; style-src 'self'", path)
		require.NotRegexp(t, `(?i)<script[^>]*>[^<]|\sstyle=|\son[a-z]+=["']|javascript:`, scriptless(got.body), path)
	}
}

// The board shows the beginning of a long detail, and how much more there is.
func TestLongDetails(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	require.NoError(t, d.store.Audit.Write(t.Context(), []store.AuditEntry{{
		Actor: store.Actor{Name: "a"}, Action: "POST", Detail: map[string]any{
			"body": strings.Repeat("x", 300) + "the end", "short": "a\u202eb",
		},
	}}))
	page := d.get(t, "/board/audit").body
	require.Contains(t, page, "x … and 107 more characters, which millrace audit prints<br>")
	require.Contains(t, page, `short: a\u202eb<br>`)
	require.NotContains(t, page, "the end")
}

// scriptless takes what is escaped out of a page, so that what is left is the page's own.
func scriptless(body string) string {
	return regexp.MustCompile(`&lt;script.*?alert\(2\)(&gt;|%3e|>)?`).ReplaceAllString(body, "")
}
