package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Instances are the processes with workers.
type Instances struct {
	*database

	verifyEvery, sweepEvery time.Duration
}

// Instance is a process that carries out steps, as River's jobs name it.
type Instance struct {
	ID     string
	Active []int64 // ids of the jobs that it is running
}

// silence is for how long a process may say nothing and count as alive. A heartbeat takes 3 s.
const silence = 10 * time.Second

// Beat notes that an instance is alive, and from which queues it takes no jobs for now.
func (s *Instances) Beat(ctx context.Context, id string, shut ...string) error {
	err := s.queries.InstanceBeat(ctx, s.db, &dbsqlc.InstanceBeatParams{
		ID: id, ShutQueues: append([]string{}, shut...), // an empty list, not NULL
		VerifyEvery: interval(s.verifyEvery), SweepEvery: interval(s.sweepEvery), Silence: interval(silence),
	})
	if err != nil {
		return fmt.Errorf("send heartbeat: %w", err)
	}
	return nil
}

// Attend notes which queues an instance works now, beside those that are paused or shut.
func (s *Instances) Attend(ctx context.Context, worked ...string) error {
	err := s.queries.QueuesAttend(ctx, s.db, &dbsqlc.QueuesAttendParams{
		Worked: append([]string{}, worked...), Silence: interval(silence),
	})
	if err != nil {
		return fmt.Errorf("note queues: %w", err)
	}
	return nil
}

// Leave records that an instance has ended in order: it no longer runs jobs.
func (s *Instances) Leave(ctx context.Context, id string) error {
	if err := s.queries.InstanceLeave(ctx, s.db, id); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

// Count counts the instances that are alive, and those that fell silent within the last hour.
func (s *Instances) Count(ctx context.Context) (live, silent int64, err error) {
	counts, err := s.queries.InstancesCount(ctx, s.db, interval(silence))
	if err != nil {
		return 0, 0, fmt.Errorf("count instances: %w", err)
	}
	return counts.Live, counts.Silent, nil
}

func interval(d time.Duration) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: true}
}
