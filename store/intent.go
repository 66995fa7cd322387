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
	Undone     orders.StepState // of the step that this one undoes; empty if it undoes none
}

// Recall is the intent of a step that this process has started a moment ago, without reading it. It may have been
// settled since, or the order cancelled, by another process: good enough for a first try, which that can cross anyway.
func (s *Orders) Recall(job orders.StepJob) (Intent, bool) { return s.recent.intent(job) }

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
		job := orders.StepJob{OrderID: row.OrderID, Step: orders.StepName(row.Step), Generation: int(row.Generation)}
		found[job] = Intent{
			State: orders.StepState(row.State), Again: row.KeyGeneration != row.Generation,
			Key:     orders.StepKey(job.OrderID, job.Step, int(row.KeyGeneration)),
			Request: row.Request, DeadlineAt: row.DeadlineAt.UTC(), Goal: orders.Goal(row.Goal),
			Undone: orders.StepState(row.UndoneState),
		}
	}
	intents := make([]Intent, len(jobs))
	for i, job := range jobs {
		intents[i] = found[job]
	}
	return intents, nil
}
