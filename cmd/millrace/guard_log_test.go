package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// guarded is a guard, and what it logs.
type guarded struct {
	t     *testing.T
	guard *guard
	store *store.Store
	log   bytes.Buffer
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	s, err := store.New(store.Config{DB: storetest.Tx(t)})
	require.NoError(t, err)
	g := &guarded{t: t, store: s}
	g.guard = &guard{
		auth: auth.New(auth.Config{Keys: s.Credentials, Token: "secret-of-an-admin"}), store: s,
		limiter: limit.New(limit.Config{}), logger: slog.New(slog.NewJSONHandler(&g.log, nil)),
		next: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/debug/pprof/" {
				profile(func(http.ResponseWriter, *http.Request) {}).ServeHTTP(w, r)
			}
		}),
	}
	return g
}

// do returns the status, and the lines that were logged.
func (g *guarded) do(method, path, body, credential string) (status int, lines []map[string]any) {
	g.t.Helper()
	g.log.Reset()
	r := httptest.NewRequestWithContext(g.t.Context(), method, path, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // as curl does, which must not matter
	w := httptest.NewRecorder()
	g.guard.ServeHTTP(w, r)
	for line := range bytes.Lines(g.log.Bytes()) {
		var m map[string]any
		require.NoError(g.t, json.Unmarshal(line, &m))
		lines = append(lines, m)
	}
	return w.Code, lines
}

func (g *guarded) key(role roles.Role) store.MadeKey {
	g.t.Helper()
	by := store.Actor{Name: "test", Role: roles.Admin}
	made, err := g.store.Credentials.MakeKeys(g.t.Context(), []store.NewKey{{Role: role, Name: "test"}}, by)
	require.NoError(g.t, err)
	return made[0]
}

// Refused requests are logged with their author, as those of the API are, and answered ones are not.
func TestRefusalsOfTheOperationsAddressAreLogged(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	refused := func(status int, lines []map[string]any) map[string]any {
		t.Helper()
		require.Len(t, lines, 1)
		require.Equal(t, "operations request", lines[0]["msg"])
		require.EqualValues(t, status, lines[0]["status"])
		require.Equal(t, "192.0.2.7", lines[0]["remote_address"])
		require.NotEmpty(t, lines[0]["request_id"])
		return lines[0]
	}
	status, lines := g.do(http.MethodGet, "/", "", "wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	require.NotContains(t, refused(status, lines), "key_id")

	viewer := g.key(roles.Viewer)
	for _, r := range []struct{ method, path string }{
		{http.MethodPost, "/riverui/api/jobs/cancel"}, {http.MethodGet, "/debug/pprof/"},
	} {
		status, lines = g.do(r.method, r.path, "", viewer.Text)
		require.Equal(t, http.StatusForbidden, status)
		line := refused(status, lines)
		require.Equal(t, r.method, line["method"])
		require.Equal(t, "key", line["principal_kind"])
		require.Equal(t, viewer.ID, line["key_id"])
	}
	for range opsRefusals {
		status, lines = g.do(http.MethodPost, "/", "", viewer.Text)
	}
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, viewer.ID, refused(status, lines)["key_id"])

	status, lines = g.do(http.MethodGet, "/", "", viewer.Text)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, lines)
}

// audited sends a change and returns what the audit log has of it.
func (g *guarded) audited(path, body string) (status int, detail map[string]any) {
	g.t.Helper()
	status, _ = g.do(http.MethodPost, path, body, "secret-of-an-admin")
	log, err := g.store.Audit.List(g.t.Context(), 1)
	require.NoError(g.t, err)
	return status, log[0].Detail
}

// What operators send goes into the audit log whole, so no padding hides a part of it.
func TestAuditedBodiesAreWhole(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const cancel = "/riverui/api/jobs/cancel"
	list := func(item string, most int) string {
		return "[" + item + strings.Repeat(","+item, (most-2-len(item))/(len(item)+1)) + "]"
	}
	padding := strings.Repeat("x", 2<<10)
	for _, body := range []string{
		`{"ids":["1"]}`, strings.Repeat(" ", 2<<10) + `{"ids": ["1"]}`,
		`{"a":"` + padding + `","ids":["1"]}`, `{"ids":["1"],"z":["` + padding + `"]}`,
		`{"ids":` + list(`"9999999999"`, 1000*13) + `}`, // as many as River UI sends
		// The bodies that take the most room in the column.
		list("1e9", maxOpsBody), list(`""`, maxOpsBody), list(`"\u0001"`, maxOpsBody), list("{}", maxOpsBody),
		strings.Repeat("[", maxOpsBody/2) + strings.Repeat("]", maxOpsBody/2),
	} {
		require.LessOrEqual(t, len(body), maxOpsBody)
		var want any
		require.NoError(t, json.Unmarshal([]byte(body), &want))
		status, detail := g.audited(cancel, body)
		require.Equal(t, http.StatusOK, status, "%.20s", body)
		require.Equal(t, map[string]any{"allowed": true, "body": want}, detail, "%.20s", body)
	}
	_, lines := g.do(http.MethodPut, "/log-level", `{"level": "DEBUG"}`, "secret-of-an-admin")
	require.Empty(t, lines)
	log, err := g.store.Audit.List(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"allowed": true, "body": map[string]any{"level": "DEBUG"}}, log[0].Detail)

	status, _ := g.audited(cancel, list(`"1"`, maxOpsBody+10))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)

	status, detail := g.audited("/"+strings.Repeat("%70", 100), `{"ids":["1"]}`)
	require.Equal(t, http.StatusBadRequest, status, "the log could not show the end of the path")
	require.Equal(t, true, detail["unreadable"])
}

// A form takes at most a few times its length in the audit log, whatever its characters are.
func TestAuditedFormsAreWhole(t *testing.T) {
	t.Parallel()
	recorded := func(body string) (map[string]any, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/board/lanes/payment/pause", nil)
		return recordedBody(r, []byte(body))
	}
	for _, c := range []string{`"`, `\`, "%0a", "<", "é", "\u202e"} {
		reason := strings.Repeat(c, (maxOpsBody-100)/len(c))
		detail, err := recorded("pad=" + reason + "&reason=real")
		require.NoError(t, err)
		form := detail["form"].(map[string]string)
		require.Equal(t, "real", form["reason"])
		require.NoError(t, storetest.New(t, storetest.Tx(t)).Audit.Write(t.Context(), []store.AuditEntry{{
			Actor: store.Actor{Name: "a"}, Action: "POST", Detail: detail,
		}}), c)
	}
	for _, c := range []string{"\x01", "%01", "%00", "%7f"} {
		_, err := recorded("reason=a" + c)
		require.ErrorIs(t, err, errOpsBody)
	}
}

// A body that the audit log cannot show as its reader reads it would hide what an operator did, so it is refused. The
// attempt is in the log.
func TestBodiesThatHide(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for _, body := range []string{
		"not JSON", `{"ids":["1"],"a":"\u0000"}`, `{"ids":["1"],"a":"\ud83d"}`, "{\"ids\":[\"1\"],\"a\":\"\xff\"}",
		`{"ids":["1"],"ids":["2"]}`, `{"ids":["1"],"IDS":["2"]}`, `{"ids":["1"],"idſ":["2"]}`, `{"a":{"b":1,"\u0062":2}}`,
		`{"ids":["1"]}{"ids":["2"]}`, `{"ids":["1"],"a":1e999999}`, `{"ids":["1"],"a":1e-99999}`, "\ufeff{}",
		`{"ids":["1"],"a":1e99}`, "reason=a&reason=b",
	} {
		status, detail := g.audited("/riverui/api/jobs/cancel", body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Equal(t, map[string]any{"allowed": true, "bytes": float64(len(body)), "unreadable": true}, detail, body)
	}
	deep := strings.Repeat("[", 400) + strings.Repeat("]", 400)
	for _, body := range []string{"", "{}", ` {"a":[{"b":1},{"b":1.5e2}],"b":null} `, deep} {
		status, _ := g.do(http.MethodPost, "/riverui/api/jobs/cancel", body, "secret-of-an-admin")
		require.Equal(t, http.StatusOK, status, body)
	}
}
