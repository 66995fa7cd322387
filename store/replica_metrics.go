package store

import "github.com/prometheus/client_golang/prometheus"

// measure makes the metrics of reads from replicas. registerer may be nil.
func (r *Replicas) measure(registerer prometheus.Registerer) {
	r.reads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_replica_reads_total", Help: "Reads that a replica answered.",
	}, []string{"replica"})
	r.falls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_replica_fallbacks_total", Help: "Reads that the primary answered although there are replicas.",
	}, []string{"reason"})
	for _, reason := range fallbacks() {
		r.falls.WithLabelValues(reason)
	}
	for _, one := range r.replicas {
		r.reads.WithLabelValues(one.name)
	}
	if registerer != nil {
		registerer.MustRegister(r.reads, r.falls, replicaCollector{
			r.replicas,
			prometheus.NewDesc("millrace_replica_state", "1 for the state of a replica.", []string{"replica", "state"}, nil),
			prometheus.NewDesc("millrace_replica_lag_seconds", "How far a replica is behind.", []string{"replica"}, nil),
		})
	}
}

// replicaCollector exports what the latest probes have found.
type replicaCollector struct {
	replicas   []*replica
	state, lag *prometheus.Desc
}

func (c replicaCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c replicaCollector) Collect(ch chan<- prometheus.Metric) {
	for _, one := range c.replicas {
		report := one.report()
		for _, state := range replicaStates() {
			value := 0.0
			if report.state == state {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(c.state, prometheus.GaugeValue, value, one.name, string(state))
		}
		if report.state == replicaUsed || report.state == replicaBehind {
			ch <- prometheus.MustNewConstMetric(c.lag, prometheus.GaugeValue, report.lag.Seconds(), one.name)
		}
	}
}
