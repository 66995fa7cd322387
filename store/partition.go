package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const week = 7 * 24 * time.Hour

// MaintainLog makes the log's partitions of this week and the next, and drops those that are over for longer than keep.
// It gives way to whoever works with the log, so it may fail for no fault of anybody's; call it again later. Without it
// events go into the default partition: nothing is lost, but that one is pruned by deleting rows.
func (s *Store) MaintainLog(ctx context.Context, keep time.Duration) (dropped int, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := createPartitions(ctx, s.queries, s.db, s.now()); err != nil {
		return 0, err
	}
	before := s.now().Add(-keep)
	n, err := s.queries.LogPartitionDrop(ctx, s.db, before)
	if err != nil {
		return 0, fmt.Errorf("drop partitions: %w", classify(err))
	}
	if err := s.queries.LogDefaultPrune(ctx, s.db, before); err != nil {
		return int(n), fmt.Errorf("prune default partition: %w", classify(err))
	}
	return int(n), nil
}

func createPartitions(ctx context.Context, queries *dbsqlc.Queries, db dbsqlc.DBTX, now time.Time) error {
	now = now.UTC()
	monday := now.AddDate(0, 0, -(int(now.Weekday())+6)%7).Truncate(24 * time.Hour)
	for _, start := range []time.Time{monday, monday.Add(week)} {
		if _, err := queries.LogPartitionCreate(ctx, db, start); err != nil {
			return fmt.Errorf("create partition: %w", classify(err))
		}
	}
	return nil
}
