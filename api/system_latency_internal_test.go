package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPreferredWaitIsCapped(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"wait=7": 7 * time.Second, "wait=31": 30 * time.Second, "wait=18446744073709551615": 30 * time.Second,
		"respond-async, wait=2": 2 * time.Second,
	} {
		got, ok := preferredWait(header)
		require.True(t, ok, header)
		require.Equal(t, want, got, header)
	}
}

// The quantiles are those that histogram_quantile of Prometheus gives for the same buckets.
func TestLatency(t *testing.T) {
	t.Parallel()
	histogram := func(counts ...uint64) series {
		s := series{value: float64(counts[3])}
		for i, bound := range []float64{0.1, 0.2, 0.4} {
			s.buckets = append(s.buckets, bucket{bound, counts[i]})
		}
		return s
	}
	for name, tt := range map[string]struct {
		histograms    []series
		count         int64
		p50, p95, p99 float64
	}{
		"Spread":      {[]series{histogram(10, 90, 100, 100)}, 100, 0.15, 0.3, 0.38},
		"Merged":      {[]series{histogram(10, 40, 50, 50), histogram(0, 50, 50, 50)}, 100, 0.1 + 0.1*40/80, 0.3, 0.38},
		"FirstBucket": {[]series{histogram(10, 10, 10, 10)}, 10, 0.05, 0.095, 0.099},
		"Beyond":      {[]series{histogram(0, 0, 1, 100)}, 100, 0.4, 0.4, 0.4},
		"Gap":         {[]series{histogram(50, 50, 100, 100)}, 100, 0.1, 0.38, 0.396},
		"None":        {[]series{histogram(0, 0, 0, 0)}, 0, 0.4, 0.4, 0.4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := newLatency(tt.histograms...)
			require.Equal(t, tt.count, got.Count)
			require.InDelta(t, tt.p50, got.P50Seconds, 1e-9)
			require.InDelta(t, tt.p95, got.P95Seconds, 1e-9)
			require.InDelta(t, tt.p99, got.P99Seconds, 1e-9)
		})
	}
}
