package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestReconciliation(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	read := func(query string) (r api.Reconciliation) {
		t.Helper()
		got := h.do(t, http.MethodGet, "/api/reconciliation"+query, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.NoError(t, json.Unmarshal([]byte(got.body), &r))
		return r
	}
	require.JSONEq(t, `{"providers":[],"findings":[]}`, h.do(t, http.MethodGet, "/api/reconciliation", "").body)

	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	end, err := h.store.Log.End(t.Context())
	require.NoError(t, err)
	progress := store.Reconciliation{
		Provider: orders.Payment, State: store.ReconciliationBehind, To: at, Cursor: end,
	}
	finding := store.Finding{
		Provider: orders.Payment, Kind: orders.FindingUnknownOrder, Key: "k", OrderID: "o\x00",
		Detail: "there is no such order",
	}
	fresh, err := h.store.Findings.SaveProgress(t.Context(), progress,
		store.Comparison{Findings: []store.Finding{finding, finding}})
	require.NoError(t, err)
	require.Len(t, fresh, 1)

	got := read("")
	require.Len(t, got.Providers, 1)
	require.Equal(t, "behind", got.Providers[0].State)
	require.Equal(t, at, got.Providers[0].ReconciledTo)
	require.Len(t, got.Findings, 1)
	require.Equal(t, "unknown_order", got.Findings[0].Kind)
	require.Equal(t, "o\uFFFD", got.Findings[0].OrderID)

	me := store.Actor{Name: "me", Role: roles.Admin}
	accepted, err := h.store.Findings.Accept(t.Context(), orders.Payment, "k", "done", me)
	require.NoError(t, err)
	require.Len(t, accepted, 1)
	fresh, err = h.store.Findings.SaveProgress(t.Context(), progress,
		store.Comparison{Findings: []store.Finding{finding}})
	require.NoError(t, err)
	require.Empty(t, fresh)
	require.Empty(t, read("").Findings, "what was accepted stays so")
	require.Len(t, read("?state=accepted").Findings, 1)
}
