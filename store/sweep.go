package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Steps finds steps that wait for a job that does not exist, or for none, and gives them one.
type Steps struct {
	*database
}

const (
	sweepLock = 0x6d696c6c73776565 // "millswee"
	sweepPage = 1000               // steps
	// sweepPages is how many pages of each step a sweep looks at; the next one goes on there. In an outage any number
	// of steps may be pending, and a sweep must not cost more for it.
	sweepPages = 50
	lostPage   = 500 // jobs
	// strandedAfter leaves a step that was just started alone.
	strandedAfter = 10 * time.Second
)

// errTurnTaken ends a sweep because another one is under way: both would find the same steps.
var errTurnTaken = errors.New("another sweep is under way")

// place is where a walk over the pending steps of one kind is. The zero place is the beginning.
type place struct {
	deadlineAt time.Time
	orderID    orders.ID
	generation int32
}

// Sweep gives a new job to every pending step that has none which could still carry it out, and returns how many
// there were. River is the trigger and our tables are the truth: whatever becomes of River's rows, an unfinished
// order goes on. A job that turns out to be a duplicate finds its step settled and does nothing.
//
// A job that has been running for longer than longest counts as dead: its process was killed. Recover finds that out
// sooner. Of each kind of step a bounded number is looked at; the next sweep goes on behind them.
func (s *Steps) Sweep(ctx context.Context, longest time.Duration) (swept int, err error) {
	overrun, err := s.overrun(ctx, longest)
	if err == nil {
		swept, err = s.replace(ctx, overrun)
	}
	var progress map[orders.StepName]place
	if err == nil {
		progress, err = s.sweepProgress(ctx)
	}
	for _, spec := range orders.Specs() {
		at := progress[spec.Name]
		for pages := 0; err == nil && pages < sweepPages; pages++ {
			if err = ctx.Err(); err != nil {
				break
			}
			var n int
			n, at, err = s.sweepPage(ctx, spec.Name, at, longest)
			swept += n
			if at == (place{}) {
				break
			}
		}
	}
	if errors.Is(err, errTurnTaken) {
		err = nil
	}
	if err != nil {
		return swept, fmt.Errorf("sweep: %w", err)
	}
	return swept, nil
}

// sweepPage looks at a page of the pending steps of one kind, and returns where the next one begins.
func (s *Steps) sweepPage(
	ctx context.Context, step orders.StepName, after place, longest time.Duration,
) (swept int, next place, err error) {
	swept, err = s.giveJobs(ctx, func(ctx context.Context, tx pgx.Tx) ([]orders.StepJob, error) {
		page, err := s.steps(ctx, tx, step, after, longest, strandedAfter)
		if err != nil {
			return nil, err
		}
		failpoint.Hit("sweep.found")
		next = page.next
		switch {
		case next != place{}:
			err = s.queries.SweepProgressWrite(ctx, tx, &dbsqlc.SweepProgressWriteParams{
				Step: string(step), DeadlineAt: next.deadlineAt, OrderID: next.orderID, Generation: next.generation,
			})
		case after != place{}:
			err = s.queries.SweepProgressForget(ctx, tx, string(step))
		}
		return page.stranded, err
	})
	return swept, next, err
}

// replace gives new jobs to the steps of jobs that run only by River's account.
func (s *Steps) replace(ctx context.Context, lost []int64) (replaced int, err error) {
	for ids := range slices.Chunk(lost, lostPage) {
		if err := ctx.Err(); err != nil {
			return replaced, err
		}
		n, err := s.giveJobs(ctx, func(ctx context.Context, tx pgx.Tx) ([]orders.StepJob, error) {
			return s.unreplaced(ctx, tx, ids)
		})
		replaced += n
		if err != nil {
			return replaced, err
		}
	}
	return replaced, nil
}

// giveJobs inserts jobs for the steps that find returns, in the same transaction.
func (s *Steps) giveJobs(
	ctx context.Context, find func(context.Context, pgx.Tx) ([]orders.StepJob, error),
) (int, error) {
	var jobs []orders.StepJob
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		mine, err := s.queries.TakeTurn(ctx, tx, sweepLock)
		if err != nil {
			return err
		}
		if !mine {
			return errTurnTaken
		}
		if jobs, err = find(ctx, tx); err != nil {
			return err
		}
		if err := s.enqueue(ctx, tx, jobs); err != nil {
			return err
		}
		failpoint.Hit("sweep.before_commit")
		return nil
	})
	if err != nil {
		return 0, err
	}
	failpoint.Hit("sweep.committed")
	if len(jobs) > 0 {
		s.bell.Ring(jobs)
	}
	return len(jobs), nil
}

// stepPage is a page of the pending steps of one kind.
type stepPage struct {
	stranded []orders.StepJob // that no job can carry out any more
	next     place            // of the last one; zero if there are no more
}

func (s *Steps) steps(
	ctx context.Context, tx pgx.Tx, step orders.StepName, after place, longest, strandedAfter time.Duration,
) (page stepPage, err error) {
	if err := s.queries.SweepPlan(ctx, tx); err != nil {
		return stepPage{}, fmt.Errorf("plan: %w", err)
	}
	rows, err := s.queries.StepsSweep(ctx, tx, &dbsqlc.StepsSweepParams{
		Step: string(step), AfterDeadlineAt: after.deadlineAt, AfterOrderID: after.orderID,
		AfterGeneration: after.generation, StartedBefore: s.now().Add(-strandedAfter), LongestRun: interval(longest),
		PageSize: sweepPage,
	})
	if err != nil {
		return stepPage{}, fmt.Errorf("read pending steps: %w", err)
	}
	for _, row := range rows {
		if row.Stranded {
			page.stranded = append(page.stranded, orders.StepJob{
				OrderID: row.OrderID, Step: step, Generation: int(row.Generation),
			})
		}
		page.next = place{row.DeadlineAt, row.OrderID, row.Generation}
	}
	if len(rows) < sweepPage {
		page.next = place{}
	}
	return page, nil
}

// unreplaced are the steps of running jobs that are pending and have been given no other job since.
func (s *Steps) unreplaced(ctx context.Context, tx pgx.Tx, ids []int64) ([]orders.StepJob, error) {
	if err := s.queries.SweepPlan(ctx, tx); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	rows, err := s.queries.JobsUnreplaced(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	params := new(dbsqlc.StepsPendingParams)
	for _, row := range rows {
		var job orders.StepJob
		if err := json.Unmarshal(row.Args, &job); err != nil || string(job.Step) != row.Kind {
			continue // the job of no step
		}
		params.OrderIds = append(params.OrderIds, job.OrderID)
		params.Steps = append(params.Steps, row.Kind)
		params.Generations = append(params.Generations, int32(job.Generation))
	}
	pending, err := s.queries.StepsPending(ctx, tx, params)
	if err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	jobs := make([]orders.StepJob, len(pending))
	for i, row := range pending {
		jobs[i] = orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
	}
	return jobs, nil
}

func (s *Steps) overrun(ctx context.Context, longest time.Duration) ([]int64, error) {
	ids, err := s.queries.JobsOverrun(ctx, s.db, interval(longest))
	if err != nil {
		return nil, fmt.Errorf("find jobs that run for too long: %w", err)
	}
	return ids, nil
}

func (s *Steps) sweepProgress(ctx context.Context) (map[orders.StepName]place, error) {
	rows, err := s.queries.SweepProgress(ctx, s.db)
	if err != nil {
		return nil, fmt.Errorf("read progress: %w", err)
	}
	progress := make(map[orders.StepName]place, len(rows))
	for _, row := range rows {
		progress[orders.StepName(row.Step)] = place{row.DeadlineAt, row.OrderID, row.Generation}
	}
	return progress, nil
}
