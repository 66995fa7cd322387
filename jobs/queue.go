package jobs

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river/rivertype"
	"golang.org/x/sync/errgroup"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	scrapeTimeout    = 2 * time.Second
	deadLetterGroups = 1000
	available        = string(rivertype.JobStateAvailable)
)

// QueueCollector exports the length and age of the queues, and the number of unfinished orders. It queries the database
// at each scrape.
type QueueCollector struct {
	store  *store.Store
	logger *slog.Logger
	jobs   *prometheus.Desc
	age    *prometheus.Desc
	orders *prometheus.Desc
	nodes  *prometheus.Desc
	dead   *prometheus.Desc
	due    *prometheus.Desc
}

// NewQueueCollector makes a collector that reads through s.
func NewQueueCollector(s *store.Store, logger *slog.Logger) *QueueCollector {
	return &QueueCollector{
		store: s, logger: logger,
		jobs: prometheus.NewDesc("millrace_queue_jobs", "Unfinished jobs.", []string{"queue", "state"}, nil),
		age: prometheus.NewDesc("millrace_queue_oldest_available_age_seconds",
			"How long the oldest job that could run has waited.", []string{"queue"}, nil),
		orders: prometheus.NewDesc("millrace_orders_unfinished",
			"Orders that are not at rest, or wait for an operator.", []string{"status"}, nil),
		dead: prometheus.NewDesc("millrace_dead_letters",
			"Orders that need attention, by the stuck step.", []string{"step"}, nil),
		nodes: prometheus.NewDesc("millrace_instances",
			"Processes with workers: live, or silent for at most an hour.", []string{"state"}, nil),
		due: prometheus.NewDesc("millrace_webhook_oldest_due_age_seconds",
			"How long the oldest due message to a webhook has waited.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *QueueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.jobs
	ch <- c.age
	ch <- c.orders
	ch <- c.nodes
	ch <- c.dead
	ch <- c.due
}

// Collect implements prometheus.Collector. A query that fails, or takes too long, drops only its own series.
func (c *QueueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var counts errgroup.Group
	counts.SetLimit(2) // of the workers' connections
	for _, count := range []func(context.Context, chan<- prometheus.Metric) error{
		c.countJobs, c.countOrders, c.countInstances, c.countDeadLetters, c.findOldestDue,
	} {
		counts.Go(func() error {
			if err := count(ctx, ch); err != nil {
				c.logger.WarnContext(ctx, "queue metrics query failed", "error", err)
			}
			return nil
		})
	}
	_ = counts.Wait()
}

// countJobs exports an empty queue, too: an autoscaler that finds no value does not scale down, and an operator could
// not tell it from a scrape that failed.
func (c *QueueCollector) countJobs(ctx context.Context, ch chan<- prometheus.Metric) error {
	worked, err := c.store.Queues.Paused(ctx)
	if err != nil {
		return err
	}
	depths, err := c.store.Queues.Depths(ctx)
	if err != nil {
		return err
	}
	export := func(queue, state string, jobs int64, age time.Duration) {
		ch <- prometheus.MustNewConstMetric(c.jobs, prometheus.GaugeValue, float64(jobs), queue, state)
		if state == available {
			ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age.Seconds(), queue)
		}
	}
	for _, d := range depths {
		if d.State == available {
			delete(worked, d.Queue)
		}
		export(d.Queue, d.State, d.Jobs, max(time.Since(d.OldestAt), 0))
	}
	for queue := range worked {
		export(queue, available, 0, 0)
	}
	return nil
}

func (c *QueueCollector) countOrders(ctx context.Context, ch chan<- prometheus.Metric) error {
	unfinished, err := c.store.Queues.UnfinishedOrders(ctx)
	for status, n := range unfinished {
		ch <- prometheus.MustNewConstMetric(c.orders, prometheus.GaugeValue, float64(n), string(status))
	}
	return err
}

func (c *QueueCollector) countInstances(ctx context.Context, ch chan<- prometheus.Metric) error {
	live, silent, err := c.store.Instances.Count(ctx)
	if err != nil {
		return err
	}
	ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(live), "live")
	ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(silent), "silent")
	return nil
}

func (c *QueueCollector) countDeadLetters(ctx context.Context, ch chan<- prometheus.Metric) error {
	groups, err := c.store.DeadLetters.Groups(ctx, deadLetterGroups)
	if err != nil {
		return err
	}
	dead := map[string]int64{}
	for _, g := range groups {
		dead[string(g.Cause.Step)] += g.Orders
	}
	for _, spec := range orders.Specs() {
		if spec.Role == orders.Compensation {
			step := string(spec.Name)
			ch <- prometheus.MustNewConstMetric(c.dead, prometheus.GaugeValue, float64(dead[step]), step)
		}
	}
	return nil
}

func (c *QueueCollector) findOldestDue(ctx context.Context, ch chan<- prometheus.Metric) error {
	due, err := c.store.Deliveries.OldestDue(ctx)
	if err != nil {
		return err
	}
	ch <- prometheus.MustNewConstMetric(c.due, prometheus.GaugeValue, max(time.Since(due), 0).Seconds())
	return nil
}
