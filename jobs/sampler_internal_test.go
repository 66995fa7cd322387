package jobs

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSampler counts what the feed hands it, once, and takes the sample that is due.
func TestSampler(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	sampler := NewSampler(s.History, "me", time.Now, slog.New(slog.DiscardHandler))
	id := uuid.Must(uuid.NewV7())
	seconds, nanoseconds := id.Time().UnixTime()
	placed := time.Unix(seconds, nanoseconds)
	entry := func(status orders.Status, after time.Duration, changed bool) store.Entry {
		return store.Entry{Event: orders.Event{
			OrderID: id, Status: status, At: placed.Add(after), StatusChanged: changed,
		}}
	}
	sampler.Hear([]store.Entry{
		entry(orders.Pending, 0, true), entry(orders.Processing, time.Second, true),
		entry(orders.Processing, time.Second, false), entry(orders.Completed, 2*time.Second, true),
	})
	for range 2 * mostDurations {
		sampler.Hear([]store.Entry{entry(orders.Failed, 3*time.Second, true)})
	}
	require.Len(t, sampler.durations, mostDurations)

	now := time.Date(2026, 11, 28, 3, 0, 1, 0, time.UTC)
	sampler.sample(t.Context(), now)
	sampler.Hear([]store.Entry{entry(orders.Cancelled, time.Second, true)})
	sampler.sample(t.Context(), now.Add(30*time.Second))
	samples, err := s.History.Read(t.Context(), store.TenSeconds, time.Time{}, now.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, samples, 2)
	require.Equal(t, store.Heard{
		Placed: 1, Completed: 1, Failed: 2 * mostDurations, DurationP95Seconds: 3,
	}, samples[0].Heard)
	require.Equal(t, store.Heard{Cancelled: 1, DurationP95Seconds: 1}, samples[1].Heard)

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	sampler.Run(cancelled)
}
