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
	if err := s.walk(ctx, walkUnopened, s.openPage); err != nil {
		return err
	}
	return s.walk(ctx, walkOpen, func(ctx context.Context, tx pgx.Tx, after orders.ID) (orders.ID, error) {
		page, err := s.steps(ctx, tx, after, longest, strandedAfter)
		if err != nil {
			return orders.ID{}, err
		}
		failpoint.Hit("sweep.found")
		swept.give(page, shut, overdue)
		if err := s.tidy(ctx, tx, page.idle); err != nil {
			return orders.ID{}, err
		}
		swept.Stranded += len(page.stranded)
		return page.next, s.carryAll(ctx, tx, page.stranded)
	})
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

// walk reads pages, each in a transaction, from where the walk stopped. The zero order is its beginning and its end.
func (s *Steps) walk(
	ctx context.Context, name string, page func(context.Context, pgx.Tx, orders.ID) (next orders.ID, err error),
) error {
	at, err := s.cursor(ctx, name)
	if err != nil {
		return err
	}
	for range sweepPages {
		if err := ctx.Err(); err != nil {
			return err
		}
		var next orders.ID
		err := s.inTurn(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if next, err = page(ctx, tx, at); err != nil {
				return err
			}
			switch {
			case next != orders.ID{}:
				err = s.queries.SweepCursorWrite(ctx, tx, &dbsqlc.SweepCursorWriteParams{Walk: name, OrderID: next})
			case at != orders.ID{}:
				err = s.queries.SweepCursorForget(ctx, tx, name)
			}
			return err
		})
		if err != nil {
			return err
		}
		if at = next; at == (orders.ID{}) {
			return nil
		}
	}
	return nil
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

// inTurn runs fn in a transaction, if no other sweep is under way.
func (s *Steps) inTurn(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
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
		if err := fn(ctx, tx); err != nil {
			return err
		}
		failpoint.Hit("sweep.before_commit")
		return nil
	})
	if err != nil {
		return err
	}
	failpoint.Hit("sweep.committed")
	s.bell.RingQueues([]string{orders.CarryQueue})
	return nil
}

// carryAll gives the orders of steps a job that carries out whatever no other job does.
func (s *Steps) carryAll(ctx context.Context, tx pgx.Tx, steps []orders.StepJob) error {
	var jobs []orders.CarryJob
	seen := map[orders.ID]bool{}
	for _, step := range steps {
		if !seen[step.OrderID] {
			seen[step.OrderID] = true
			jobs = append(jobs, orders.CarryJob{OrderID: step.OrderID})
		}
	}
	return s.enqueue(ctx, tx, jobs, priorityBegun)
}
