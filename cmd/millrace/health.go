package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// invariantsHealth fails if the latest verification found violations, or none could run. An operator should look, but
// orders are still accepted.
func invariantsHealth(ctx context.Context, s *store.Store) error {
	v, err := s.Verifier.Standing(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrDegraded, err)
	}
	if len(v.Violations) > 0 {
		return fmt.Errorf("%d invariants violated: %w", len(v.Violations), api.ErrDegraded)
	}
	return nil
}

// feedHealth fails if subscribers have heard nothing for so long that something must be wrong.
func feedHealth(feed *store.Feed) error {
	const tooLong = 10 * time.Second
	if behind := feed.Behind(); behind > tooLong {
		return fmt.Errorf("events are left unread: %w", api.ErrDegraded) // slower, but still correct
	}
	return nil
}

// leversHealth fails while an operator pauses a lane or stops the intake: what waits for it is meant to wait.
func leversHealth(holds *store.Holds) error {
	if _, stopped := holds.Intake(); stopped {
		return fmt.Errorf("the intake is stopped: %w", api.ErrDegraded)
	}
	for _, lane := range orders.Providers() {
		if holds.Paused(lane) {
			return fmt.Errorf("the lane %s is paused: %w", lane, api.ErrDegraded)
		}
	}
	return nil
}
