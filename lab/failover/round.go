package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// result is one failover.
type result struct {
	fault    string
	promoted time.Duration // from the fault to the promotion
	serving  time.Duration // from the promotion to the first accepted order
	settled  time.Duration // from the promotion to the last answer that was not 2xx; 0: none came after it
	carried  time.Duration // from the promotion to the first order that was carried to its end
	whole    time.Duration // from the repair to three nodes, or from the promotion if Patroni needs no repair
	rewound  bool          // the old primary came back by pg_rewind
	lost     int           // accepted orders that the new primary does not have
}

const (
	before   = 4 * time.Second  // of load, before the fault
	after    = 12 * time.Second // of load, after the first accepted order: longer than every limit of the pools
	rewindIs = "running pg_rewind from"
)

// fail brings about a fault, and measures until the cluster is whole again.
func (c *customers) fail(ctx context.Context, cluster *cluster, f fault) (r result, err error) {
	r.fault = f.name
	old, err := cluster.leader(ctx)
	if err != nil {
		return r, err
	}
	if err := launch.Pause(ctx, before); err != nil {
		return r, err
	}
	rewinds, struck := old.logged(rewindIs), time.Now()
	struckDone := make(chan error, 1)
	go func() { struckDone <- f.strike(ctx, cluster, old) }() // a switchover ends after the promotion
	_, at, err := cluster.awaitPromotion(ctx, old)
	if err := errors.Join(err, <-struckDone); err != nil {
		return r, err
	}
	r.promoted = at.Sub(struck)
	if !launch.Eventually(ctx, patience, func() bool { return c.firstAccepted(at) > 0 }) {
		return r, fmt.Errorf("no order was accepted in %s: %s", patience, c.lastRefusal(at))
	}
	r.serving = c.firstAccepted(at)
	if r.whole, err = cluster.mend(ctx, f, old, at); err != nil {
		return r, err
	}
	if err := launch.Pause(ctx, time.Until(at.Add(r.serving+after))); err != nil {
		return r, err
	}
	r.settled = c.lastRefused(at)
	r.rewound = old.logged(rewindIs) > rewinds
	if r.carried, err = c.firstCarried(ctx, at); err != nil {
		return r, err
	}
	missing, err := c.missing(ctx)
	r.lost = len(missing)
	return r, errors.Join(err, c.alive())
}

// mend repairs the old primary's node after a while, and waits for three nodes. It returns how long these took, from
// the repair; if Patroni needs none, from the promotion.
func (c *cluster) mend(ctx context.Context, f fault, old *machine, promoted time.Time) (time.Duration, error) {
	from := promoted
	if f.repair != nil {
		if err := launch.Pause(ctx, after); err != nil {
			return 0, err
		}
		from = time.Now()
		if err := f.repair(ctx, old); err != nil {
			return 0, err
		}
	}
	err := c.awaitWhole(ctx)
	return time.Since(from), err
}

// firstAccepted returns how long after a moment an order was accepted, or 0.
func (c *customers) firstAccepted(at time.Time) (first time.Duration) {
	for _, a := range c.since(at) {
		if took := a.answered.Sub(at); a.accepted && (first == 0 || took < first) {
			first = took
		}
	}
	return first
}

// lastRefused returns how long after a moment a placement was last refused, or got no answer.
func (c *customers) lastRefused(at time.Time) (last time.Duration) {
	for _, a := range c.since(at) {
		if !a.accepted {
			last = max(last, a.answered.Sub(at))
		}
	}
	return last
}

func (c *customers) lastRefusal(at time.Time) (why string) {
	for _, a := range c.since(at) {
		if !a.accepted {
			why = a.why
		}
	}
	return why
}

// firstCarried returns how long after a moment an order was completed.
func (c *customers) firstCarried(ctx context.Context, at time.Time) (time.Duration, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var first *time.Time
	err = conn.QueryRow(ctx, `SELECT min(logged_at) FROM millrace.order_events
		WHERE status_changed AND status = 'completed' AND logged_at > $1`, at).Scan(&first)
	if err == nil && first == nil {
		err = errors.New("no order was completed since the promotion")
	}
	if err != nil {
		return 0, err
	}
	return first.Sub(at), nil
}
