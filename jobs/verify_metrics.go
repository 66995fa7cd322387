package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// VerifyCollector exports the result of the latest verification, whichever process ran it. It queries the database at
// each scrape, so that no process shows a stale result.
type VerifyCollector struct {
	store      *store.Store
	logger     *slog.Logger
	violations *prometheus.Desc
	at         *prometheus.Desc
	duration   *prometheus.Desc
	findings   *prometheus.Desc
	reconciled *prometheus.Desc
	upkept     *prometheus.Desc
}

// NewVerifyCollector makes a collector that reads through s.
func NewVerifyCollector(s *store.Store, logger *slog.Logger) *VerifyCollector {
	return &VerifyCollector{
		store: s, logger: logger,
		violations: prometheus.NewDesc("millrace_verify_violations", "Violations of invariants.", []string{"check"}, nil),
		at: prometheus.NewDesc("millrace_verify_timestamp_seconds", "When invariants were last verified, in Unix time.",
			nil, nil),
		duration: prometheus.NewDesc("millrace_verify_duration_seconds", "Duration of the last verification.", nil, nil),
		findings: prometheus.NewDesc("millrace_reconcile_findings", "Open findings of reconciliation.",
			[]string{"provider", "kind"}, nil),
		reconciled: prometheus.NewDesc("millrace_reconcile_timestamp_seconds",
			"Time up to which a provider's records were compared, in Unix time.", []string{"provider"}, nil),
		upkept: prometheus.NewDesc("millrace_log_upkeep_timestamp_seconds",
			"When the log's upkeep last succeeded, in Unix time.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *VerifyCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.violations
	ch <- c.at
	ch <- c.duration
	ch <- c.findings
	ch <- c.reconciled
	ch <- c.upkept
}

// Collect implements prometheus.Collector. A series is missing before the first verification, upkeep or reconciliation,
// and for a provider without a list. A violation that needs no verification to be found is there at once.
func (c *VerifyCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	err := errors.Join(c.collectVerification(ctx, ch), c.collectReconciliation(ctx, ch), c.collectUpkeep(ctx, ch))
	if err != nil {
		c.logger.WarnContext(ctx, "verification metrics query failed", "error", err)
	}
}

func (c *VerifyCollector) collectReconciliation(ctx context.Context, ch chan<- prometheus.Metric) error {
	list, err := c.store.Findings.Progress(ctx)
	if err != nil {
		return err
	}
	open, err := c.store.Findings.CountOpen(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		if r.State == store.ReconciliationNotListed {
			continue
		}
		p := string(r.Provider)
		ch <- prometheus.MustNewConstMetric(c.reconciled, prometheus.GaugeValue, unixSeconds(r.To), p)
		for _, kind := range orders.FindingKinds() {
			count := float64(open[r.Provider][kind])
			ch <- prometheus.MustNewConstMetric(c.findings, prometheus.GaugeValue, count, p, string(kind))
		}
	}
	return nil
}

func (c *VerifyCollector) collectVerification(ctx context.Context, ch chan<- prometheus.Metric) error {
	v, err := c.store.Verifier.Standing(ctx)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, violation := range v.Violations {
		counts[violation.Check] = violation.Count
	}
	for _, check := range store.Checks() {
		if v.StartedAt.IsZero() && counts[check.Name] == 0 {
			continue
		}
		ch <- prometheus.MustNewConstMetric(c.violations, prometheus.GaugeValue, float64(counts[check.Name]), check.Name)
	}
	if v.StartedAt.IsZero() {
		return nil
	}
	ch <- prometheus.MustNewConstMetric(c.at, prometheus.GaugeValue, unixSeconds(v.StartedAt))
	ch <- prometheus.MustNewConstMetric(c.duration, prometheus.GaugeValue, v.DurationSeconds)
	return nil
}

func (c *VerifyCollector) collectUpkeep(ctx context.Context, ch chan<- prometheus.Metric) error {
	at, err := c.store.Log.Upkept(ctx)
	if err != nil || at.IsZero() {
		return err
	}
	ch <- prometheus.MustNewConstMetric(c.upkept, prometheus.GaugeValue, unixSeconds(at))
	return nil
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
