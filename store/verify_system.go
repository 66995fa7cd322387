package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Limits of time and size.
const (
	jobWithin    = time.Minute      // after a step's start
	overdueAfter = 30 * time.Minute // after its deadline: until 15 min after it the provider is still asked
	// overduePatience is how long steps may be late after their processes have started or their queue was resumed.
	overduePatience = 5 * time.Minute
	longJobGrace    = time.Minute // after a job should have been rescued
	backlogAfter    = time.Minute
	mostClockSkew   = 2 * time.Second
	deadRowsLeast   = 50_000
	longestDump     = 24 * time.Hour   // a dump is one transaction
	slotUnused      = 10 * time.Minute // longer than a standby takes to restart
	// verifyScan is how many of the oldest orders under way are checked for being stuck. In an outage there may be any
	// number, and stuck orders are among the oldest.
	verifyScan = 10_000
	// verifyPages is how many pages of open orders are checked for having jobs.
	verifyPages = 50
	// verifyMost bounds what one check of the whole system reports.
	verifyMost = 1000
)

// system makes the checks that are not about single orders, or that need not read them.
func (v *verification) system(ctx context.Context, tx pgx.Tx) error {
	before := v.verifier.wall()
	now, err := v.verifier.queries.Now(ctx, tx)
	if err != nil {
		return fmt.Errorf("read clock: %w", err)
	}
	if skew := before.Sub(now); skew > mostClockSkew || -skew > mostClockSkew+v.verifier.wall().Sub(before) {
		v.report(checkClock, orders.ID{}, "this machine is %s ahead", skew.Round(time.Millisecond))
	}
	for _, check := range []struct {
		name string
		fn   func(context.Context, pgx.Tx, time.Time) error
	}{
		{checkGuards, v.guards},
		{string(orders.RuleStuck), v.stuck},
		{checkLongJob, v.longJobs},
		{checkBacklog, v.backlog},
		{checkLeader, func(ctx context.Context, tx pgx.Tx, _ time.Time) error { return v.vigil(ctx, tx) }},
		{checkOldWriter, v.transactions},
		{checkSlots, v.slots},
		{checkNotifications, v.notifications},
		{checkDeadRows, v.deadRows},
		{checkReconcile, v.findings},
	} {
		if err := check.fn(ctx, tx, now); err != nil {
			return fmt.Errorf("check %s: %w", check.name, err)
		}
	}
	return nil
}

// stuck makes the check of orders.RuleStuck, including for orders without recent events.
func (v *verification) stuck(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	if v.options.Deep {
		return nil // every order is checked by itself
	}
	var notices []string
	for _, spec := range orders.Specs() {
		if spec.Role == orders.Notice {
			notices = append(notices, string(spec.Name))
		}
	}
	rows, err := v.verifier.queries.VerifyStuck(ctx, tx, &dbsqlc.VerifyStuckParams{ScanSize: verifyScan, Notices: notices})
	for _, row := range rows {
		v.report(string(orders.RuleStuck), row.ID, "%s, and waits for no step", row.Status)
	}
	return err
}

// jobs checks the pending steps of the open orders, oldest orders first, with a transaction for each page: each step
// must have a job, and must have ended by its deadline. It checks 50 pages, or all with Deep.
func (v *verification) jobs(ctx context.Context) error {
	longest := v.options.Limits.Job + longJobGrace
	var late lateness
	err := v.transaction(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		late, err = v.lateness(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("check %s: %w", checkOverdue, err)
	}
	var at orders.ID
	for pages := 0; pages < verifyPages || v.options.Deep; pages++ {
		err := v.transaction(ctx, func(ctx context.Context, tx pgx.Tx) error {
			if err := v.verifier.queries.SweepPlan(ctx, tx); err != nil {
				return err
			}
			page, err := v.verifier.steps.steps(ctx, tx, at, longest, jobWithin)
			for _, job := range page.stranded {
				v.report(checkJob, job.OrderID, "%s has no job", job.Name())
			}
			for _, step := range page.pending {
				if late.is(step) {
					v.report(checkOverdue, step.OrderID, "%s should have ended by %s", step.Name(),
						step.deadlineAt.UTC().Format(time.RFC3339))
				}
			}
			at = page.next
			return err
		})
		if err != nil {
			return fmt.Errorf("check %s: %w", checkJob, err)
		}
		if at == (orders.ID{}) {
			break
		}
	}
	return nil
}

// lateness tells which steps are overdue.
type lateness struct {
	before  time.Time
	resumed []string // queues whose steps may still be late: they were resumed, or their processes started, just now
}

func (l lateness) is(step openStep) bool {
	spec, known := step.Step.Spec()
	return known && step.deadlineAt.Before(l.before) && !slices.Contains(l.resumed, string(spec.Provider))
}

func (v *verification) lateness(ctx context.Context, tx pgx.Tx) (lateness, error) {
	now, err := v.verifier.queries.Now(ctx, tx)
	if err != nil {
		return lateness{}, err
	}
	providers := orders.Providers()
	queues := make([]string, len(providers))
	for i, provider := range providers {
		queues[i] = string(provider)
	}
	resumed, err := v.verifier.queries.VerifyResumed(ctx, tx, &dbsqlc.VerifyResumedParams{
		Queues: queues, After: now.Add(-overduePatience), Silence: interval(silence),
	})
	return lateness{now.Add(-overdueAfter), resumed}, err
}

func (v *verification) longJobs(ctx context.Context, tx pgx.Tx, now time.Time) error {
	rows, err := v.verifier.queries.VerifyLongJobs(ctx, tx, &dbsqlc.VerifyLongJobsParams{
		Before: now.Add(-v.options.Limits.Job - longJobGrace),
		Upkeep: LogUpkeep, UpkeepBefore: now.Add(-LogUpkeepTimeout - longJobGrace), Most: verifyMost,
	})
	for _, row := range rows {
		order, _ := uuid.Parse(row.OrderID) // a job that is not about an order has no order's id
		v.report(checkLongJob, order, "job %d (%s) runs since %s", row.ID, row.Kind,
			row.AttemptedAt.UTC().Format(time.RFC3339))
	}
	return err
}

func (v *verification) backlog(ctx context.Context, tx pgx.Tx, now time.Time) error {
	rows, err := v.verifier.queries.VerifyBacklog(ctx, tx, &dbsqlc.VerifyBacklogParams{
		Before: now.Add(-backlogAfter), Silence: interval(silence),
	})
	for _, row := range rows {
		v.report(checkBacklog, orders.ID{}, "a job in %s has been ready for %s", row.Queue,
			now.Sub(row.OldestAt).Round(time.Second))
	}
	return err
}

func (v *verification) transactions(ctx context.Context, tx pgx.Tx, now time.Time) error {
	limits := v.options.Limits
	rows, err := v.verifier.queries.VerifyTransactions(ctx, tx, &dbsqlc.VerifyTransactionsParams{
		WritesBefore: now.Add(-limits.Writer), ReadsBefore: now.Add(-limits.Snapshot), Most: verifyMost,
		UpkeepBefore: now.Add(-LogUpkeepTimeout), Mark: upkeepMark, DumpsBefore: now.Add(-longestDump),
	})
	for _, row := range rows {
		age := now.Sub(row.StartedAt)
		check := checkOldSnapshot
		if row.Writes && age > limits.Writer { // it holds up vacuum as well, which needs no second alarm
			check = checkOldWriter
		}
		v.report(check, orders.ID{}, "pid %d (%s) for %s", row.Pid, row.Application, age.Round(time.Second))
	}
	return err
}

func (v *verification) slots(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	rows, err := v.verifier.queries.VerifySlots(ctx, tx, &dbsqlc.VerifySlotsParams{
		Unused: interval(slotUnused), MostRetained: v.options.Limits.SlotWAL, MostUnused: v.options.Limits.UnusedSlotWAL,
		MostHorizon: v.options.Limits.SlotRows, MostCatalogHorizon: v.options.Limits.SlotCatalogRows, Most: verifyMost,
	})
	for _, row := range rows {
		use := "in use"
		if !row.Active {
			use = "not in use"
		}
		v.report(checkSlots, orders.ID{}, "%s (%s) keeps %d MiB of WAL, rows of the last %d transactions and catalog rows "+
			"of the last %d", row.Name, use, row.Retained>>20, row.Horizon, row.CatalogHorizon)
	}
	return err
}

func (v *verification) notifications(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	usage, err := v.verifier.queries.VerifyNotifications(ctx, tx)
	if usage > v.options.Limits.Notifications {
		v.report(checkNotifications, orders.ID{}, "%.1f %% is used", 100*usage)
	}
	return err
}

func (v *verification) findings(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	state := FindingOpen
	if v.options.Findings != nil {
		state = FindingAccepted
	}
	rows, err := v.verifier.queries.FindingsList(ctx, tx, &dbsqlc.FindingsListParams{
		State: string(state), PageSize: verifyMost,
	})
	kept := decodeFindings(rows)
	if v.options.Findings == nil {
		v.options.Findings, kept = kept, nil
	}
	for _, f := range v.options.Findings {
		if slices.ContainsFunc(kept, f.same) {
			continue
		}
		order, _ := uuid.Parse(f.OrderID) // the provider's id of an order may be any text
		v.report(checkReconcile, order, "%s %s %s: %s", f.Provider, f.Kind, f.Key, f.Detail)
	}
	return err
}

func (v *verification) deadRows(ctx context.Context, tx pgx.Tx, _ time.Time) error {
	rows, err := v.verifier.queries.VerifyDeadRows(ctx, tx, deadRowsLeast)
	for _, row := range rows {
		v.report(checkDeadRows, orders.ID{}, "%s has %d dead rows and %d live ones", row.Relation, row.Dead, row.Live)
	}
	return err
}
