package board_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestHistory answers with columns that the charts take.
func TestHistory(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	storetest.Order(t, d.store)
	require.NoError(t, d.store.History.Take(t.Context(), time.Now(), store.Heard{Placed: 20}))
	got := d.get(t, "/board/history?range=1h")
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Contains(t, got.body, `"span":10,`)
	require.Contains(t, got.body, `"placed":[2]`)
	require.Contains(t, got.body, `"payment.backlog":[1]`)
	require.Contains(t, d.get(t, "/board/history?range=90d").body, `"span":3600,`)
	require.Contains(t, d.get(t, "/board/history?range=hostile").body, `"span":10,`)
}
