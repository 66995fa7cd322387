package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSystemHistory reads what the store has sampled. TestHistory of store is about the samples themselves.
func TestSystemHistory(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	h := serve(t, tx)
	read := func(query string) (out api.SystemHistory) {
		got := h.do(t, http.MethodGet, "/api/system/history"+query, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.NoError(t, json.Unmarshal([]byte(got.body), &out))
		return out
	}
	require.Equal(t, api.SystemHistory{
		Resolution: "1m", Samples: []api.HistorySample{}, Versions: []api.VersionMark{},
	}, read(""))

	storetest.Order(t, h.store)
	begin := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	for i := range 13 {
		at := begin.Add(time.Duration(i) * 10 * time.Second)
		require.NoError(t, h.store.History.Take(t.Context(), at, store.Heard{Placed: 3, DurationP95Seconds: .5}))
	}
	exec(t, tx, `INSERT INTO version_marks VALUES ('2026-11-28 02:00Z', 'old'), ('2026-11-28 03:01Z', '1.1.0')`)
	minutes := read("")
	require.Len(t, minutes.Samples, 3)
	require.Equal(t, begin, minutes.Samples[1].At)
	require.Equal(t, int64(18), minutes.Samples[1].Placed)
	require.Equal(t, int64(1), minutes.Samples[1].Pending)
	require.Len(t, minutes.Samples[1].Lanes, 4)
	require.Equal(t, "payment", minutes.Samples[1].Lanes[0].Provider)
	require.Equal(t, int64(1), minutes.Samples[1].Lanes[0].Backlog)
	require.Equal(t, []api.VersionMark{{At: begin.Add(time.Minute), Version: "1.1.0"}}, minutes.Versions)

	tens := read("?resolution=10s&limit=2&to=2026-11-28T03:01:00Z")
	require.Len(t, tens.Samples, 2)
	require.Equal(t, begin.Add(50*time.Second), tens.Samples[1].At, "the latest before a moment")
	require.Empty(t, read("?resolution=10s&from=2026-11-29T00:00:00Z").Samples)
	require.Empty(t, read("?resolution=1h&to=2026-11-28T02:00:00Z").Samples)

	got := h.do(t, http.MethodGet, "/api/system/history?resolution=1d", "")
	require.Equal(t, http.StatusUnprocessableEntity, got.status, got.body)
}
