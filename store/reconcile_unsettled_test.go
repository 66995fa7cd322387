package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// Effects that cannot be decided about are kept once each, in slices, and looked at again by the time they are due.
func TestUnsettledEffects(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	start, err := s.Log.Start(t.Context())
	require.NoError(t, err)
	now := time.Now().UTC().Truncate(time.Second)
	const most = 2500
	var effects []orders.Effect
	for i := range most {
		e := orders.Effect{
			Provider: orders.Payment, Key: fmt.Sprintf("k%04d", i), OrderID: "o\x00", Amount: 1, Currency: orders.USD, At: now,
		}
		later := e
		later.At = now.Add(time.Second)
		effects = append(effects, later, e)
	}
	progress := store.Reconciliation{Provider: orders.Payment, State: store.ReconciliationOK, To: now, Cursor: start}
	for range 2 { // as in the overlap of two spans
		_, err = s.Findings.SaveProgress(t.Context(), progress, store.Comparison{Unsettled: effects})
		require.NoError(t, err)
	}
	due := func(before time.Time, limit int) []orders.Effect {
		t.Helper()
		page, err := s.Findings.Unsettled(t.Context(), orders.Payment, before, limit)
		require.NoError(t, err)
		return page
	}
	soon := now.Add(time.Hour)
	require.Len(t, due(soon, 2*most), most)
	page := due(soon, 10)
	require.Equal(t, orders.Effect{
		Provider: orders.Payment, Key: "k0000", OrderID: "o\uFFFD", At: now.Add(time.Second),
	}, page[0])
	none, err := s.Findings.Unsettled(t.Context(), orders.Shipping, soon, 10)
	require.NoError(t, err)
	require.Empty(t, none)

	finding := store.Finding{Provider: orders.Payment, Kind: orders.FindingNotUndone, Key: "k0000"}
	fresh, err := s.Findings.SaveUnsettled(t.Context(), orders.Payment, page, store.Comparison{
		Findings: []store.Finding{finding}, Unsettled: page[5:],
	}, soon.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []store.Finding{finding}, fresh)
	require.Len(t, due(soon, 2*most), most-10)
	require.Equal(t, "k0010", due(soon, 1)[0].Key)
	require.Len(t, due(soon.Add(time.Hour), 2*most), most-5)
}
