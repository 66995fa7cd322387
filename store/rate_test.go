package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestRates(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	rates := store.NewRates(tx)
	at := func(seconds int) time.Time { return time.Date(2026, 11, 22, 12, 0, seconds, 0, time.UTC) }
	count := func(since time.Time, counts ...store.RateCount) []store.RateCount {
		totals, err := rates.Count(t.Context(), counts, since)
		require.NoError(t, err)
		slices.SortFunc(totals, func(a, b store.RateCount) int { return a.Segment.Compare(b.Segment) })
		return totals
	}
	require.Empty(t, count(at(0)))
	first := store.RateCount{Subject: "a", Segment: at(0), Requests: 2, Last: at(5)}
	require.Equal(t, []store.RateCount{first}, count(at(0), first))
	second := store.RateCount{Subject: "a", Segment: at(10), Requests: 1, Last: at(11)}
	require.Equal(t, []store.RateCount{first, second}, count(at(0), second), "with what others counted")
	earlier := store.RateCount{Subject: "a", Segment: at(0), Requests: 3, Last: at(4)}
	first.Requests = 5
	require.Equal(t, []store.RateCount{first, second}, count(at(0), earlier), "added up; the last request counts")
	require.Len(t, count(at(0), store.RateCount{Subject: "b", Segment: at(0), Requests: 1, Last: at(0)}), 1)
	second.Requests = 2
	require.Equal(t, []store.RateCount{second}, count(at(10), store.RateCount{
		Subject: "a", Segment: at(10), Requests: 1, Last: at(10),
	}), "only since then")

	require.NoError(t, rates.Prune(t.Context(), at(10)))
	var left int
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM rate_counts").Scan(&left))
	require.Equal(t, 1, left)

	var persistence string
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT relpersistence::text FROM pg_class WHERE relname = 'rate_counts'").
		Scan(&persistence))
	require.Equal(t, "u", persistence, "logged, every flush would wait for the disk")
}

// Batches that share subjects in any order neither deadlock nor lose a request.
func TestRatesManyAtOnce(t *testing.T) {
	t.Parallel()
	pool := storetest.PatientPool(t)
	rates := store.NewRates(pool)
	segment := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const writers, subjects, rounds = 8, 50, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var counts []store.RateCount
			for i := range subjects {
				name := fmt.Sprint((i*7 + w*13) % subjects)
				counts = append(counts, store.RateCount{Subject: name, Segment: segment, Requests: 1, Last: segment})
			}
			if w%2 == 0 {
				slices.Reverse(counts)
			}
			for range rounds {
				if _, err := rates.Count(t.Context(), counts, segment); err != nil {
					t.Errorf("count: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var least, most int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT min(requests), max(requests) FROM rate_counts").
		Scan(&least, &most))
	require.Equal(t, writers*rounds, least)
	require.Equal(t, writers*rounds, most)
}

func TestRatesUnavailable(t *testing.T) {
	t.Parallel()
	pool, err := store.NewPool(t.Context(), "postgres://none@127.0.0.1:1/none", "test", 1)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	rates := store.NewRates(pool)
	_, err = rates.Count(t.Context(), []store.RateCount{{Subject: "a", Requests: 1}}, time.Now())
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, rates.Prune(t.Context(), time.Now()), store.ErrUnavailable)
}
