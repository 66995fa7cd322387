package store

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Applied is the answer to one event.
type Applied struct {
	Order   orders.Order  // after the event
	Event   orders.Event  // as it is in the log; meaningful only if Changed
	Ended   bool          // the order has come to rest with the event
	Changed bool          // false: the event changed nothing, for example because it had been applied before
	Started []orders.Step // the steps that the event started
	// Replayed: the same was asked before under the same idempotency key. Order is as it was after that.
	Replayed bool
	// Err is orders.ErrNotFound, orders.ErrIdempotencyMismatch, why the order's state rules the event out (see
	// orders.Decide), or why the order cannot be read.
	Err error
}

// Apply makes events happen: it locks their orders, decides, and writes the new states, the log, the next steps and the
// jobs that carry them out, in one commit for all of them. Events of one order are applied in the order given.
//
// Concurrent callers share a commit. The outcome of a step may be applied any number of times, and so may a
// cancellation, or a refund under an idempotency key: callers may repeat them after any error. An event can be about
// steps that earlier calls started, not about one that is started by the same call.
func (s *Orders) Apply(ctx context.Context, events []orders.Event) ([]Applied, error) {
	return s.change(ctx, events, false)
}

// Carry is Apply for a caller that carries out the started steps itself: they get no job.
func (s *Orders) Carry(ctx context.Context, events []orders.Event) ([]Applied, error) {
	return s.change(ctx, events, true)
}

// change is an event, and whether the job that reports it carries on with the steps that it starts.
type change struct {
	orders.Event

	carried bool
}

func (s *Orders) change(ctx context.Context, events []orders.Event, carried bool) ([]Applied, error) {
	if len(events) == 0 {
		return nil, nil
	}
	changes := make([]change, len(events))
	for i, e := range events {
		changes[i] = change{e, carried}
	}
	// Callers that apply events to one order at the same time share a commit in one lane. In two lanes, one commit would
	// wait for the other.
	id := events[0].OrderID
	return s.applying[id[len(id)-1]%groupLanes].do(ctx, changes)
}

func (s *Orders) apply(ctx context.Context, changes []change) ([]Applied, error) {
	return s.applyWith(ctx, changes, nil)
}

// applyWith applies events; also, if given, is done in the same transaction, if they change anything.
func (s *Orders) applyWith(
	ctx context.Context, changes []change, also func(context.Context, pgx.Tx) error,
) ([]Applied, error) {
	ids, events := make([]orders.ID, len(changes)), make([]orders.Event, len(changes))
	for i, c := range changes {
		ids[i], events[i] = c.OrderID, c.Event
	}

	applied := make([]Applied, len(events))
	var started []orders.StepJob
	var carried []orders.CarryJob
	failpoint.Hit("apply.begin")
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.queries.OrdersQueue(ctx, tx, ids); err != nil {
			return fmt.Errorf("queue for orders: %w", err)
		}
		current, err := s.lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		asked, err := s.commands(ctx, tx, events)
		if err != nil {
			return fmt.Errorf("read idempotency keys: %w", err)
		}

		var decisions []orders.Decision
		idle := make(map[orders.ID]bool, len(current)) // before the first event
		started = started[:0]
		for i, e := range events {
			order, ok := current[e.OrderID]
			if !ok {
				if applied[i] = (Applied{Err: s.missing(ctx, tx, e.OrderID)}); !errors.Is(applied[i].Err, orders.ErrNotFound) {
					return applied[i].Err
				}
				continue
			}
			if order.err != nil {
				applied[i] = Applied{Err: order.err}
				continue
			}
			if before, ok := asked[keyOf(e)]; ok {
				if applied[i], err = s.repeat(ctx, tx, e, order.Order, before); err != nil {
					return fmt.Errorf("repeat answer: %w", err)
				}
				continue
			}
			if twin := findTwin(events[:i], e); twin >= 0 && applied[twin].Changed {
				applied[i] = repeatTwin(e, applied[twin])
				continue
			}
			e.At = timestamp(e.At)
			decision, err := orders.Decide(order.Order, e)
			if err == nil {
				err = orders.Admit(&order.Order, e)
			}
			if err != nil {
				applied[i] = Applied{Order: order.Order}
				if !errors.Is(err, orders.ErrNoChange) {
					applied[i].Err = err
				}
				continue
			}
			applied[i] = Applied{
				Order: decision.Order, Event: decision.Event, Ended: decision.Ended, Changed: true, Started: decision.Started,
			}
			if _, seen := idle[e.OrderID]; !seen {
				idle[e.OrderID] = order.Idle()
			}
			current[e.OrderID] = readOrder{Order: decision.Order}
			decisions = append(decisions, decision)
			if !changes[i].carried {
				started = appendJobs(started, decision)
			}
		}
		if len(decisions) == 0 {
			return nil
		}
		params, err := updateParams(decisions)
		if err != nil {
			return err
		}
		for id, before := range idle {
			order := current[id]
			switch after := order.Idle(); {
			case after && !before:
				params.Closed = append(params.Closed, id)
			case before && !after:
				params.Opened = append(params.Opened, id)
			}
		}
		if err := s.queries.OrdersUpdate(ctx, tx, params); err != nil {
			return fmt.Errorf("update orders: %w", err)
		}
		failpoint.Hit("apply.updated")
		keys, err := commandParams(decisions)
		if err != nil {
			return err
		}
		if keys != nil {
			if err := s.queries.CommandsInsert(ctx, tx, keys); err != nil {
				return fmt.Errorf("insert idempotency keys: %w", err)
			}
		}
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return err
			}
		}
		carried = carrying(started)
		if err := s.enqueue(ctx, tx, carried, priorityBegun); err != nil {
			return err
		}
		failpoint.Hit("apply.before_commit")
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("apply events: %w", err)
	}
	failpoint.Hit("apply.committed")
	if changed := changedOrders(applied); len(changed) > 0 {
		s.recent.remember(changed)
		s.bell.Ring(queuesOf(carried)...)
	}
	return applied, nil
}

// lock locks orders and returns them as they are then.
func (s *Orders) lock(ctx context.Context, tx pgx.Tx, ids []orders.ID) (map[orders.ID]readOrder, error) {
	rows, err := s.queries.OrdersLock(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	failpoint.Hit("apply.locked")
	current := make(map[orders.ID]readOrder, len(rows))
	var unknown []orders.ID
	for _, row := range rows {
		if order, ok := s.recent.order(row.ID, row.Version, row.UpdatedAt); ok {
			current[row.ID] = readOrder{Order: order}
		} else {
			unknown = append(unknown, row.ID)
		}
	}
	if len(unknown) == 0 {
		return current, nil
	}
	// A statement of its own: its snapshot is taken after the locks were granted, so it sees what the transactions that
	// held them wrote.
	found, err := s.read(ctx, tx, unknown)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	maps.Copy(current, found)
	return current, nil
}

func changedOrders(applied []Applied) (changed []orders.Order) {
	for _, a := range applied {
		if a.Changed {
			changed = append(changed, a.Order)
		}
	}
	return changed
}

// errOwnStep reports that an event settles a step that the same transaction starts: its statement does not see the row
// yet. In a later transaction it does.
var errOwnStep = errors.New("the step is being started by the same transaction")

// sought returns the steps by whose references orders are found.
func sought() (steps []string) {
	for _, spec := range orders.Specs() {
		if spec.Sought {
			steps = append(steps, string(spec.Name))
		}
	}
	return steps
}

// updateParams lays decisions out in columns. Of several decisions on one order the last has its final row, and so it
// is with several that settle one step: an UPDATE that joins several rows to one takes any of them.
//
// Error: errOwnStep.
func updateParams(decisions []orders.Decision) (*dbsqlc.OrdersUpdateParams, error) {
	c := &dbsqlc.OrdersUpdateParams{SoughtSteps: sought()}
	row := make(map[orders.ID]int, len(decisions))
	settled := make(map[orders.StepJob]int, len(decisions))
	started := make(map[orders.StepJob]bool, len(decisions))
	for _, d := range decisions {
		o, e := d.Order, d.Event
		i, seen := row[o.ID]
		if !seen {
			i = len(c.Ids)
			row[o.ID] = i
			c.Ids = append(c.Ids, o.ID)
			c.Versions = append(c.Versions, 0)
			c.Statuses = append(c.Statuses, "")
			c.Goals = append(c.Goals, "")
			c.Reasons = append(c.Reasons, "")
			c.CauseSteps = append(c.CauseSteps, "")
			c.CauseStates = append(c.CauseStates, "")
			c.CauseCodes = append(c.CauseCodes, "")
			c.RefundedMinor = append(c.RefundedMinor, 0)
			c.UpdatedAt = append(c.UpdatedAt, o.UpdatedAt)
		}
		c.Versions[i], c.RefundedMinor[i], c.UpdatedAt[i] = o.Version, int64(o.Refunded), o.UpdatedAt
		c.Statuses[i], c.Goals[i], c.Reasons[i] = string(o.Status), string(o.Goal), o.Reason
		cause := o.Cause()
		c.CauseSteps[i], c.CauseStates[i], c.CauseCodes[i] = string(cause.Step), string(cause.State), cause.Code

		if step := d.Settled; step != nil {
			key := orders.StepJob{OrderID: o.ID, Step: step.Name, Generation: step.Generation}
			if started[key] {
				return nil, fmt.Errorf("%s of order %s: %w", step.Name, o.ID, errOwnStep)
			}
			i, seen := settled[key]
			if !seen {
				i = len(c.SettledOrderIds)
				settled[key] = i
				c.SettledOrderIds = append(c.SettledOrderIds, o.ID)
				c.SettledNames = append(c.SettledNames, string(step.Name))
				c.SettledGenerations = append(c.SettledGenerations, int32(step.Generation))
				c.SettledStates = append(c.SettledStates, "")
				c.SettledReferences = append(c.SettledReferences, "")
				c.SettledReasons = append(c.SettledReasons, "")
				c.SettledAt = append(c.SettledAt, step.SettledAt)
			}
			c.SettledStates[i], c.SettledReferences[i] = string(step.State), step.Reference
			c.SettledReasons[i], c.SettledAt[i] = step.Reason, step.SettledAt
		}
		for _, step := range d.Started {
			started[orders.StepJob{OrderID: o.ID, Step: step.Name, Generation: step.Generation}] = true
			c.StepOrderIds = append(c.StepOrderIds, o.ID)
			c.StepNames = append(c.StepNames, string(step.Name))
			c.StepGenerations = append(c.StepGenerations, int32(step.Generation))
			c.StepKeyGenerations = append(c.StepKeyGenerations, keyGeneration(step))
			c.StepAmountsMinor = append(c.StepAmountsMinor, int64(step.Amount))
			c.StepRequests = append(c.StepRequests, step.Request)
			c.StepStartedAt = append(c.StepStartedAt, step.StartedAt)
			c.StepDeadlineAt = append(c.StepDeadlineAt, step.DeadlineAt)
		}

		c.EventOrderIds = append(c.EventOrderIds, o.ID)
		c.EventVersions = append(c.EventVersions, e.Version)
		c.EventKinds = append(c.EventKinds, string(e.Kind))
		c.EventActors = append(c.EventActors, e.Principal)
		c.EventAmountsMinor = append(c.EventAmountsMinor, int64(e.Amount))
		c.EventSteps = append(c.EventSteps, string(e.Step))
		c.EventGenerations = append(c.EventGenerations, int32(e.Generation))
		c.EventReferences = append(c.EventReferences, e.Reference)
		c.EventReasons = append(c.EventReasons, e.Reason)
		c.EventStatuses = append(c.EventStatuses, string(e.Status))
		c.EventProgress = append(c.EventProgress, int16(e.Progress))
		c.EventStatusChanged = append(c.EventStatusChanged, e.StatusChanged)
		c.EventAt = append(c.EventAt, e.At)
	}
	return c, nil
}

// keyGeneration is 0 for a step that has a key of its own.
func keyGeneration(s orders.Step) int32 {
	if s.KeyGeneration == s.Generation {
		return 0
	}
	return int32(s.KeyGeneration)
}
