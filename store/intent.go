package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Intent is a step as a worker needs it. The zero value means that there is none.
type Intent struct {
	State      orders.StepState
	Again      bool // it is another try, under the same key, of one that got no answer
	Key        string
	Request    []byte
	DeadlineAt time.Time
	Goal       orders.Goal      // of the order
	Origin     orders.Origin    // of the order
	Undone     orders.StepState // of the step that this one undoes; empty if it undoes none
}

// Pending is a pending step, with its intent.
type Pending struct {
	orders.StepJob

	Intent Intent
}

// IntentOf returns the intent of a step of an order in memory; ok is false if it must be read: the step is settled, or
// it uses the key and the bytes of an earlier try.
func IntentOf(o *orders.Order, step *orders.Step) (intent Intent, ok bool) {
	if step.State != orders.StatePending || step.KeyGeneration != step.Generation || step.Request == nil {
		return Intent{}, false
	}
	intent = Intent{
		State: orders.StatePending, Key: orders.StepKey(o.ID, step.Name, step.Generation), Request: step.Request,
		DeadlineAt: step.DeadlineAt, Goal: o.Goal, Origin: o.Origin,
	}
	if undone := o.Step(step.Name.Undoes(), 1); undone != nil {
		intent.Undone = undone.State
	}
	return intent, true
}

// First returns the first steps of an order that this process placed a moment ago, without reading them. One may have
// been settled since, or the order cancelled, by another process. A first attempt can cross such a change in any case.
func (s *Orders) First(id orders.ID) (pending []Pending, ok bool) { return s.recent.first(id) }

// AwaitRest returns a channel that is closed when this process has committed that an order is at rest. It is
// quicker than the feed, which alone tells of other processes' commits. The caller must call forget, which ends the
// waiting.
func (s *Orders) AwaitRest(id orders.ID) (rested <-chan struct{}, forget func()) {
	return s.recent.await(id)
}

// Pending reads the pending steps of an order that no other job than the given one is to carry out. Concurrent callers
// share a query. An order without such a step, or a missing order, has none.
func (s *Orders) Pending(ctx context.Context, id orders.ID, job int64) ([]Pending, error) {
	found, err := s.resuming.do(ctx, []carriage{{id, job}})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// carriage is a job that carries an order.
type carriage struct {
	orderID orders.ID
	jobID   int64
}

func (s *Orders) pending(ctx context.Context, jobs []carriage) ([][]Pending, error) {
	params := new(dbsqlc.OrdersPendingParams)
	for _, spec := range orders.Specs() {
		if spec.Undo != "" {
			params.Compensations = append(params.Compensations, string(spec.Undo))
			params.Undone = append(params.Undone, string(spec.Name))
		}
	}
	for _, job := range jobs {
		params.OrderIds, params.JobIds = append(params.OrderIds, job.orderID), append(params.JobIds, job.jobID)
	}
	var rows []dbsqlc.OrdersPendingRow
	err := unwritten(func() (err error) {
		rows, err = s.queries.OrdersPending(ctx, s.db, params)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read pending steps: %w", err)
	}
	found := make(map[carriage][]Pending, len(jobs))
	for _, row := range rows {
		if row.Taken {
			continue
		}
		job, intent := stored(dbsqlc.StepsReadRow{
			OrderID: row.OrderID, Step: row.Step, Generation: row.Generation, State: row.State,
			KeyGeneration: row.KeyGeneration, Request: row.Request, DeadlineAt: row.DeadlineAt, Goal: row.Goal,
			UndoneState: row.UndoneState, RequestID: row.RequestID, Traceparent: row.Traceparent,
		})
		of := carriage{row.OrderID, row.JobID}
		found[of] = append(found[of], Pending{job, intent})
	}
	pending := make([][]Pending, len(jobs))
	for i, job := range jobs {
		pending[i] = found[job]
	}
	return pending, nil
}

// stored decodes a step with its intent.
func stored(row dbsqlc.StepsReadRow) (orders.StepJob, Intent) {
	job := orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
	return job, Intent{
		State: orders.StepState(row.State), Again: row.KeyGeneration != row.Generation,
		Key:     orders.StepKey(job.OrderID, job.Step, int(row.KeyGeneration)),
		Request: row.Request, DeadlineAt: row.DeadlineAt.UTC(), Goal: orders.Goal(row.Goal),
		Undone: orders.StepState(row.UndoneState),
		Origin: orders.Origin{RequestID: row.RequestID.String, Traceparent: row.Traceparent.String},
	}
}

// Intent reads the stored intent of a step's call. Concurrent callers share a query. Error: orders.ErrNotFound.
func (s *Orders) Intent(ctx context.Context, job orders.StepJob) (Intent, error) {
	found, err := s.reading.do(ctx, []orders.StepJob{job})
	if err != nil {
		return Intent{}, err
	}
	if found[0].State == "" {
		return Intent{}, orders.ErrNotFound
	}
	return found[0], nil
}

func (s *Orders) intents(ctx context.Context, jobs []orders.StepJob) ([]Intent, error) {
	params := new(dbsqlc.StepsReadParams)
	for _, job := range jobs {
		params.OrderIds = append(params.OrderIds, job.OrderID)
		params.Steps = append(params.Steps, string(job.Step))
		params.Generations = append(params.Generations, int32(job.Generation))
		params.Undoes = append(params.Undoes, string(job.Step.Undoes()))
	}
	var rows []dbsqlc.StepsReadRow
	err := unwritten(func() (err error) {
		rows, err = s.queries.StepsRead(ctx, s.db, params)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read steps: %w", err)
	}
	found := make(map[orders.StepJob]Intent, len(rows))
	for _, row := range rows {
		job, intent := stored(row)
		found[job] = intent
	}
	intents := make([]Intent, len(jobs))
	for i, job := range jobs {
		job.Tries = 0
		intents[i] = found[job]
	}
	return intents, nil
}
