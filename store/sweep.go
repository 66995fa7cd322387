package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Steps finds pending steps that no job will carry out.
type Steps struct {
	*database
}

const (
	sweepLock = 0x6d696c6c73776565 // "millswee"
	sweepPage = 1000               // orders
	// sweepPages is how many pages a sweep reads. The next sweep goes on there. In an outage any number of orders may be
	// open, and a sweep must not cost more for it.
	sweepPages = 50
	lostPage   = 500 // jobs
	// strandedAfter leaves a step that was just started alone.
	strandedAfter = 10 * time.Second
)

// The walks of a sweep, each with a cursor of its own.
const (
	walkOpen     = "open"     // over the open orders
	walkUnopened = "unopened" // over the orders under way that may be missing from them
)

// errTurnTaken ends a sweep because another one is under way: both would find the same steps.
var errTurnTaken = errors.New("another sweep is under way")

// Swept is what a sweep found.
type Swept struct {
	Stranded int // steps whose orders got a job that carries them
	// Overdue are steps past their deadline, and Unwanted are steps that their orders do not want any more, in queues
	// from which every live process keeps away because the provider's breaker is open. No job will settle them soon.
	Overdue, Unwanted []orders.StepJob
}

// Sweep gives a carrying job to every order with a pending step that no job can carry out any more. River is the
// trigger and the order's tables are the truth: whatever becomes of River's rows, an unfinished order goes on. A job
// that turns out to be a duplicate finds its steps settled and does nothing.
//
// A job that has been running for longer than longest counts as dead: its process was killed. Recover finds it sooner.
// A step is overdue if its deadline was before overdue. A bounded number of open orders is looked at; the next sweep
// goes on behind them.
func (s *Steps) Sweep(ctx context.Context, longest time.Duration, overdue time.Time) (swept Swept, err error) {
	err = s.sweep(ctx, longest, overdue, &swept)
	if errors.Is(err, errTurnTaken) {
		err = nil
	}
	if err != nil {
		return swept, fmt.Errorf("sweep: %w", err)
	}
	return swept, nil
}

func (s *Steps) sweep(ctx context.Context, longest time.Duration, overdue time.Time, swept *Swept) error {
	overrun, err := s.queries.JobsOverrun(ctx, s.db, interval(longest))
	if err != nil {
		return fmt.Errorf("find jobs that run for too long: %w", err)
	}
	replaced, err := s.replace(ctx, overrun)
	swept.Stranded += replaced
	if err != nil {
		return err
	}
	shut, err := s.queries.QueuesShut(ctx, s.db, interval(silence))
	if err != nil {
		return fmt.Errorf("list shut queues: %w", err)
	}
	if _, err := s.walk(ctx, walkUnopened, s.openPage); err != nil {
		return err
	}
	given, err := s.walk(ctx, walkOpen, func(ctx context.Context, tx pgx.Tx, after orders.ID) (stepPage, error) {
		page, err := s.steps(ctx, tx, after, longest, strandedAfter)
		if err != nil {
			return stepPage{}, err
		}
		failpoint.Hit("sweep.found")
		swept.give(page, shut, overdue)
		return page, s.tidy(ctx, tx, page.idle)
	})
	swept.Stranded += given
	return err
}

// give notes the steps of a page that are to be given up.
func (s *Swept) give(page stepPage, shut []string, overdue time.Time) {
	for _, step := range page.pending {
		spec, _ := step.Step.Spec()
		if !slices.Contains(shut, string(spec.Provider)) {
			continue
		}
		switch {
		case step.deadlineAt.Before(overdue):
			s.Overdue = append(s.Overdue, step.StepJob)
		case spec.Role == orders.Forward && step.goal != orders.GoalComplete:
			s.Unwanted = append(s.Unwanted, step.StepJob)
		}
	}
}

// walk reads pages, each in a transaction, from where the walk stopped, and gives jobs to the stranded steps. The zero
// order is its beginning and its end.
func (s *Steps) walk(
	ctx context.Context, name string, read func(context.Context, pgx.Tx, orders.ID) (stepPage, error),
) (given int, err error) {
	at, err := s.cursor(ctx, name)
	if err != nil {
		return 0, err
	}
	for range sweepPages {
		if err := ctx.Err(); err != nil {
			return given, err
		}
		var page stepPage
		n, err := s.giveJobs(ctx, func(ctx context.Context, tx pgx.Tx) ([]orders.StepJob, error) {
			if page, err = read(ctx, tx, at); err != nil {
				return nil, err
			}
			switch {
			case page.next != orders.ID{}:
				err = s.queries.SweepCursorWrite(ctx, tx, &dbsqlc.SweepCursorWriteParams{Walk: name, OrderID: page.next})
			case at != orders.ID{}:
				err = s.queries.SweepCursorForget(ctx, tx, name)
			}
			return page.stranded, err
		})
		given += n
		if err != nil {
			return given, err
		}
		if at = page.next; at == (orders.ID{}) {
			return given, nil
		}
	}
	return given, nil
}

func (s *Steps) cursor(ctx context.Context, walk string) (at orders.ID, err error) {
	rows, err := s.queries.SweepCursors(ctx, s.db)
	if err != nil {
		return orders.ID{}, fmt.Errorf("read cursors: %w", err)
	}
	for _, row := range rows {
		if row.Walk == walk {
			at = row.OrderID
		}
	}
	return at, nil
}

// giveJobs gives the steps that find returns a job that carries them out, in the same transaction, if no other sweep is
// under way. The jobs name their steps: a lost job's row may still look as if it carried them out.
func (s *Steps) giveJobs(
	ctx context.Context, find func(context.Context, pgx.Tx) ([]orders.StepJob, error),
) (given int, err error) {
	var steps []orders.StepJob
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		mine, err := s.queries.TakeTurn(ctx, tx, sweepLock)
		if err != nil {
			return err
		}
		if !mine {
			return errTurnTaken
		}
		if err := s.queries.SweepPlan(ctx, tx); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		if steps, err = find(ctx, tx); err != nil {
			return err
		}
		if err := s.enqueue(ctx, tx, carrying(steps), priorityBegun); err != nil {
			return err
		}
		failpoint.Hit("sweep.before_commit")
		return nil
	})
	if err != nil {
		return 0, err
	}
	failpoint.Hit("sweep.committed")
	if len(steps) > 0 {
		s.bell.RingQueues([]string{orders.CarryQueue})
	}
	return len(steps), nil
}
