package api

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// families is the content of a registry, by the name of the metric.
type families map[string][]series

// series is one value, or one histogram, of a metric.
type series struct {
	labels  map[string]string
	value   float64
	buckets []bucket
}

// bucket counts the observations up to a bound.
type bucket struct {
	bound float64
	count uint64
}

// gather reads a registry, which may be nil. A metric that cannot be collected now is missing.
func gather(registry prometheus.Gatherer) families {
	all := families{}
	if registry == nil {
		return all
	}
	gathered, _ := registry.Gather()
	for _, family := range gathered {
		for _, metric := range family.GetMetric() {
			one := series{labels: map[string]string{}, value: metric.GetGauge().GetValue() + metric.GetCounter().GetValue()}
			for _, label := range metric.GetLabel() {
				one.labels[label.GetName()] = label.GetValue()
			}
			for _, b := range metric.GetHistogram().GetBucket() {
				one.buckets = append(one.buckets, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
			}
			if h := metric.GetHistogram(); h != nil {
				one.value = float64(h.GetSampleCount())
			}
			all[family.GetName()] = append(all[family.GetName()], one)
		}
	}
	return all
}

// value returns the sum of a metric's series that have the given labels, as name, value, name, value.
func (f families) value(name string, labels ...string) (sum float64) {
	for _, s := range f[name] {
		matches := true
		for label := range slices.Chunk(labels, 2) {
			matches = matches && s.labels[label[0]] == label[1]
		}
		if matches {
			sum += s.value
		}
	}
	return sum
}

// newLatency estimates quantiles of histograms that have the same buckets. Between the bounds of a bucket it takes
// the observations to be spread evenly, as Prometheus does; beyond the last bound it knows only that bound.
func newLatency(histograms ...series) Latency {
	var buckets []bucket
	var count float64
	for _, h := range histograms {
		count += h.value
		if buckets == nil {
			buckets = append(buckets, h.buckets...)
			continue
		}
		for i := range buckets {
			buckets[i].count += h.buckets[i].count
		}
	}
	quantile := func(q float64) float64 {
		rank, below := q*count, bucket{}
		for _, b := range buckets {
			if float64(b.count) >= rank && b.count > below.count {
				return below.bound + (b.bound-below.bound)*(rank-float64(below.count))/float64(b.count-below.count)
			}
			below = b
		}
		return below.bound
	}
	return Latency{
		Count: int64(count), P50Seconds: quantile(0.5), P95Seconds: quantile(0.95), P99Seconds: quantile(0.99),
	}
}
