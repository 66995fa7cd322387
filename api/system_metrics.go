package api

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

// SystemMetrics is the most useful metrics as one JSON object. Counts are since the process started.
type SystemMetrics struct {
	AsOf     time.Time         `json:"asOf" example:"2026-11-22T12:00:00Z"`
	Requests []RequestCount    `json:"requests" doc:"Requests about orders, by action and result"`
	Latency  []OperationTiming `json:"latency" doc:"How long the answers took, by operation"`
	Orders   OrderMetrics      `json:"orders"`
	InFlight InFlight          `json:"inFlight"`
	Queues   []QueueStatus     `json:"queues" doc:"The queues of all processes, sorted by name"`
	Pools    []PoolMetrics     `json:"pools" doc:"The pools of database connections, sorted by name"`
	Cache    CacheMetrics      `json:"cache"`
	Process  ProcessMetrics    `json:"process"`
}

// RequestCount counts the requests with one action and result.
type RequestCount struct {
	Action string `json:"action" example:"create" doc:"What the request asked for"`
	Status string `json:"status" example:"success" doc:"success, validation_error, not_found, conflict or error"`
	Count  int64  `json:"count" minimum:"0" example:"1200"`
}

// Latency is a distribution of durations, estimated from the buckets of a histogram.
type Latency struct {
	Count      int64   `json:"count" minimum:"0" example:"1200" doc:"The number of measurements"`
	P50Seconds float64 `json:"p50Seconds" minimum:"0" example:"0.004" doc:"Half of the measurements are at most this long"`
	P95Seconds float64 `json:"p95Seconds" minimum:"0" example:"0.012"`
	P99Seconds float64 `json:"p99Seconds" minimum:"0" example:"0.03"`
}

// OperationTiming is how long the answers of one operation took.
type OperationTiming struct {
	Operation string `json:"operation" example:"placeOrder"`
	Latency
}

// OrderMetrics is about the orders that this process's workers brought to their end.
type OrderMetrics struct {
	Processing *Latency     `json:"processing,omitempty" doc:"The time from the placement of an order to its end; absent before the first order ends"`
	Ended      []EndedCount `json:"ended" doc:"How many orders ended, by final status"`
}

// EndedCount counts the orders that ended in one status.
type EndedCount struct {
	Status OrderStatus `json:"status" example:"completed"`
	Count  int64       `json:"count" minimum:"0" example:"1100"`
}

// TransformSchema gives the document a status in which orders end.
func (EndedCount) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{EndedCount{Status: OrderStatus(orders.Completed), Count: 1100}}
	return s
}

// InFlight counts the requests that are being answered.
type InFlight struct {
	Requests int64 `json:"requests" minimum:"0" example:"2"`
	Streams  int64 `json:"streams" minimum:"0" example:"40" doc:"Open event streams and waiting placements"`
}

// PoolMetrics is the use of one connection pool.
type PoolMetrics struct {
	Name        string  `json:"name" example:"api"`
	InUse       int64   `json:"inUse" minimum:"0" example:"3"`
	Idle        int64   `json:"idle" minimum:"0" example:"5"`
	Limit       int64   `json:"limit" minimum:"0" example:"20"`
	Acquires    int64   `json:"acquires" minimum:"0" example:"5000" doc:"How often a connection was taken from the pool"`
	Waits       int64   `json:"waits" minimum:"0" example:"7" doc:"How often a caller had to wait for a connection"`
	WaitSeconds float64 `json:"waitSeconds" minimum:"0" example:"0.02" doc:"How long callers waited for connections in total"`
}

// CacheMetrics counts the reads of orders through the cache.
type CacheMetrics struct {
	Hits     int64    `json:"hits" minimum:"0" example:"900"`
	Misses   int64    `json:"misses" minimum:"0" example:"100"`
	Bypasses int64    `json:"bypasses" minimum:"0" example:"0" doc:"Reads that bypassed the cache because the feed was behind"`
	HitRatio *float64 `json:"hitRatio,omitempty" minimum:"0" maximum:"1" example:"0.9" doc:"Absent before the first read"`
}

// ProcessMetrics is the resources that the process uses.
type ProcessMetrics struct {
	ResidentBytes int64   `json:"residentBytes" minimum:"0" example:"73400320"`
	HeapBytes     int64   `json:"heapBytes" minimum:"0" example:"25165824"`
	Goroutines    int64   `json:"goroutines" minimum:"0" example:"180"`
	CPUSeconds    float64 `json:"cpuSeconds" minimum:"0" example:"42.5"`
}

type metricsOutput struct{ Body SystemMetrics }

func (o systemOperations) metricsOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "getSystemMetrics", Method: http.MethodGet, Path: "/api/system/metrics", Tags: []string{tagOperations},
			Summary: "Get the system's metrics",
			Description: "The most useful metrics of the process that answered, as JSON. All metrics, for Prometheus, are at " +
				"/metrics on the operations address. Values may be a second old.",
		},
		permission: permitObserve,
	}, o.systemMetrics)
}

func (o systemOperations) systemMetrics(ctx context.Context, _ *struct{}) (*metricsOutput, error) {
	f, now := o.gathered.get(ctx, func(context.Context) families { return gather(o.registry) }), o.now()
	shared := o.shared.get(ctx, o.measureSystem)
	if shared.err != nil {
		exchangeOf(ctx).cause = shared.err
	}
	return &metricsOutput{SystemMetrics{
		AsOf: now.UTC(), Requests: f.requests(), Latency: f.latency(), Orders: f.orders(),
		InFlight: InFlight{
			Requests: int64(f.value("millrace_http_requests_in_flight")), Streams: int64(f.value("millrace_streams")),
		},
		Queues: newQueues(shared.queues, now), Pools: f.pools(), Cache: f.cache(),
		Process: ProcessMetrics{
			ResidentBytes: int64(f.value("process_resident_memory_bytes")),
			HeapBytes:     int64(f.value("go_memstats_heap_alloc_bytes")),
			Goroutines:    int64(f.value("go_goroutines")), CPUSeconds: f.value("process_cpu_seconds_total"),
		},
	}}, nil
}

func (f families) requests() []RequestCount {
	list := []RequestCount{}
	for _, s := range f["order_requests_total"] {
		list = append(list, RequestCount{s.labels["action"], s.labels["status"], int64(s.value)})
	}
	slices.SortFunc(list, func(a, b RequestCount) int {
		return cmp.Or(cmp.Compare(a.Action, b.Action), cmp.Compare(a.Status, b.Status))
	})
	return list
}

func (f families) latency() []OperationTiming {
	byOperation := map[string][]series{}
	for _, s := range f["millrace_http_request_duration_seconds"] {
		operation := s.labels["operation"]
		byOperation[operation] = append(byOperation[operation], s)
	}
	list := []OperationTiming{}
	for _, operation := range slices.Sorted(maps.Keys(byOperation)) {
		list = append(list, OperationTiming{operation, newLatency(byOperation[operation]...)})
	}
	return list
}

func (f families) orders() OrderMetrics {
	out := OrderMetrics{Ended: []EndedCount{}}
	if histograms := f["order_processing_duration_seconds"]; f.value("order_processing_duration_seconds") > 0 {
		out.Processing = new(newLatency(histograms...))
	}
	for _, s := range f["millrace_orders_ended_total"] {
		out.Ended = append(out.Ended, EndedCount{OrderStatus(s.labels["status"]), int64(s.value)})
	}
	return out
}

func (f families) pools() []PoolMetrics {
	list := []PoolMetrics{}
	for _, s := range f["millrace_pool_connections_limit"] {
		of := func(name string, labels ...string) float64 {
			return f.value("millrace_pool_"+name, append(labels, "pool", s.labels["pool"])...)
		}
		list = append(list, PoolMetrics{
			Name: s.labels["pool"], InUse: int64(of("connections", "state", "in_use")),
			Idle: int64(of("connections", "state", "idle")), Limit: int64(s.value),
			Acquires: int64(of("acquires_total")), Waits: int64(of("waits_total")), WaitSeconds: of("wait_seconds_total"),
		})
	}
	slices.SortFunc(list, func(a, b PoolMetrics) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (f families) cache() CacheMetrics {
	of := func(result string) int64 { return int64(f.value("millrace_cache_requests_total", "result", result)) }
	out := CacheMetrics{Hits: of("hit"), Misses: of("miss"), Bypasses: of("bypass")}
	if all := out.Hits + out.Misses + out.Bypasses; all > 0 {
		out.HitRatio = new(float64(out.Hits) / float64(all))
	}
	return out
}
