package board_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestPause pauses a lane and resumes it; both are in the audit log.
func TestPause(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Pool(t), true)
	require.Contains(t, d.get(t, "/board/lanes/payment").body, "Pause the lane")
	for name, form := range map[string][]string{
		"reason": {"reason", "", "for", "1h"},
		"blank":  {"reason", " ", "for", "1h"},
		"lines":  {"reason", "a\nb", "for", "1h"},
	} {
		got := d.post(t, "/board/lanes/payment/pause", form...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		require.Contains(t, got.body, "The reason must", name)
	}
	for _, form := range [][]string{{}, {"for", ""}, {"for", "9d"}} {
		got := d.post(t, "/board/lanes/payment/pause", append(form, "reason", "The bank is down")...)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, form)
		require.Contains(t, got.body, "The time must", form)
	}
	got := d.post(t, "/board/lanes/payment/pause", "reason", "The bank is down", "for", "4h")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, "/board/lanes/payment", got.header.Get("Location"))
	shown := d.get(t, "/board/lanes/payment").body
	require.Contains(t, shown, "The bank is down")
	require.Contains(t, shown, "Resume the lane")
	held, err := d.store.Levers.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ann", held.Lanes[orders.Payment].Actor)
	require.WithinDuration(t, time.Now().Add(4*time.Hour), held.Lanes[orders.Payment].Until, time.Minute)

	got = d.post(t, "/board/lanes/payment/resume")
	require.Equal(t, http.StatusSeeOther, got.status)
	require.NotContains(t, d.get(t, "/board/lanes/payment").body, "The bank is down")
	log, err := d.store.Audit.List(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Equal(t, "lanes.resume", log[0].Action)
	require.Equal(t, "lanes.pause", log[1].Action)
	require.Equal(t, http.StatusNotFound, d.post(t, "/board/lanes/bank/pause", "reason", "r", "for", "1h").status)
	require.Equal(t, http.StatusNotFound, d.post(t, "/board/lanes/bank/resume").status)
}
