package store

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// PoolCollector exports how a connection pool is used, in seconds. Libraries that export the same use nanoseconds.
func PoolCollector(name string, pool *pgxpool.Pool) prometheus.Collector {
	desc := func(metric, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millrace_pool_"+metric, help, labels, prometheus.Labels{"pool": name})
	}
	failures, _ := pool.Config().ConnConfig.Tracer.(*failureTracer)
	return &poolCollector{
		pool:        pool,
		failures:    failures,
		connections: desc("connections", "Connections of a pool by state.", "state"),
		limit:       desc("connections_limit", "Connections that a pool may open."),
		acquires:    desc("acquires_total", "Connections that were handed out."),
		waits:       desc("waits_total", "Acquires that had to wait because all connections were in use."),
		waited:      desc("wait_seconds_total", "Time spent waiting for a connection."),
	}
}

type poolCollector struct {
	pool                                        *pgxpool.Pool
	failures                                    *failureTracer // nil for a pool that NewPool has not made
	connections, limit, acquires, waits, waited *prometheus.Desc
}

func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.pool.Stat()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	counter := func(desc *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v)
	}
	gauge(c.connections, float64(s.AcquiredConns()), "in_use")
	gauge(c.connections, float64(s.IdleConns()), "idle")
	gauge(c.limit, float64(s.MaxConns()))
	counter(c.acquires, float64(s.AcquireCount()))
	counter(c.waits, float64(s.EmptyAcquireCount()))
	counter(c.waited, s.EmptyAcquireWaitTime().Seconds())
	if c.failures != nil {
		c.failures.failed.Collect(ch)
	}
}
