package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	week           = 7 * 24 * time.Hour
	checkViolation = "23514"
)

// LogUpkeep is the kind of the job that maintains the log. LogUpkeepTimeout is how long it may run: it reads the whole
// of a default partition that has filled up.
const (
	LogUpkeep        = "maintain_log"
	LogUpkeepTimeout = 15 * time.Minute
)

const (
	partitionTimeout = 5 * time.Second  // of making and of dropping partitions
	splitTimeout     = 10 * time.Minute // of reading a default partition: readers of the log wait, writers do not
	// upkeepMark is the advisory lock of the transaction that reads the default partition.
	upkeepMark = 0x6d696c6c75706b70 // "millupkp"
)

// Maintain makes the log's partitions of this week and the next, and drops the partitions that ended more than keep
// ago. It gives way to sessions that use the log, so it may fail through no fault of its own; call it again later.
// Without it events go into the default partition: nothing is lost, and the default partition later becomes a partition
// of a span of time.
//
// Each part has a deadline of its own, and is done even if another part fails. The result is stored for verification.
func (s *Log) Maintain(ctx context.Context, keep time.Duration) (dropped int, err error) {
	dropped, err = s.prune(ctx, s.now().Add(-keep)) // first: what is too old must not become part of what is kept
	split := splitDefault(ctx, s.queries, s.patient)
	return dropped, s.noteUpkeep(ctx, err, split, createPartitions(ctx, s.queries, s.patient, s.now()))
}

// MakePartitions makes the log's partitions of this week and the next, if they are missing. After a pause of weeks,
// that must come before the first order.
func (s *Log) MakePartitions(ctx context.Context) error {
	return createPartitions(ctx, s.queries, s.patient, s.now())
}

func (s *Log) prune(ctx context.Context, before time.Time) (dropped int, err error) {
	ctx, cancel := context.WithTimeout(ctx, partitionTimeout)
	defer cancel()
	n, dropErr := s.queries.LogPartitionDrop(ctx, s.patient, before)
	if dropErr != nil {
		dropErr = fmt.Errorf("drop partitions: %w", dropErr)
	}
	if err = s.queries.LogDefaultPrune(ctx, s.patient, before); err != nil {
		err = fmt.Errorf("prune default partition: %w", err)
	}
	return int(n), errors.Join(dropErr, err)
}

func createPartitions(ctx context.Context, queries *dbsqlc.Queries, db DB, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, partitionTimeout)
	defer cancel()
	now = now.UTC()
	monday := now.AddDate(0, 0, -(int(now.Weekday())+6)%7).Truncate(24 * time.Hour)
	for _, start := range []time.Time{monday, monday.Add(week)} {
		if _, err := queries.LogPartitionCreate(ctx, db, start); err != nil {
			return fmt.Errorf("create partition: %w", err)
		}
	}
	return nil
}

// splitDefault turns the default partition into a partition of the span of time that it covers. Otherwise Postgres
// would read the whole default partition, and lock it meanwhile, for each partition that is made beside it. Here the
// reading comes first, without a lock. A default partition with events from several gaps stays: it is small, or old
// enough to be pruned soon.
func splitDefault(ctx context.Context, queries *dbsqlc.Queries, db DB) error {
	ctx, cancel := context.WithTimeout(ctx, splitTimeout)
	defer cancel()
	filled, err := queries.LogDefaultFilled(ctx, db)
	if err == nil && filled {
		filled, err = queries.LogDefaultLimit(ctx, db)
	}
	if err != nil || !filled {
		return wrapSplit(err)
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := queries.LogDefaultPatience(ctx, tx); err != nil {
			return err
		}
		if err := queries.LogUpkeepMark(ctx, tx, upkeepMark); err != nil {
			return err
		}
		return queries.LogDefaultCheck(ctx, tx)
	})
	if err == nil {
		err = queries.LogDefaultSplit(ctx, db)
	}
	if err == nil {
		return nil
	}
	// The limit must not outlive the attempt: Postgres would refuse the events that it excludes.
	undo, cancelUndo := context.WithTimeout(context.WithoutCancel(ctx), partitionTimeout)
	defer cancelUndo()
	unlimited := queries.LogDefaultUnlimit(undo, db)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == checkViolation {
		err = nil
	}
	return wrapSplit(errors.Join(err, unlimited))
}

func wrapSplit(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("split default partition: %w", err)
}
