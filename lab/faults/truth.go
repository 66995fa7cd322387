package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/explain"
	"github.com/millrace-orders/millrace/orders"
)

const (
	// lateness is tolerated: for clocks and for the time between a commit and its answer.
	lateness = 2 * time.Second
	// wedgedAfter is how much later than promised nothing has happened when an order counts as wedged.
	wedgedAfter = time.Minute
	// maxDrift is how far the clocks of this machine's processes may be apart.
	maxDrift = 10 * time.Second
	// takeover is when a process that has just started has taken over what others left, as explain has it. A row that
	// kills the last process, or takes the database away, begins such a time again.
	takeover = explain.Trust + 30*time.Second
	// atOnce is sooner than a process that is started can work.
	atOnce = time.Second
	never  = time.Duration(1<<63 - 1)
	// explainTruth is the share of explanations that should be true.
	explainTruth = 0.999
	// A row fails below clearlyBelow, if more than fewOrders orders were explained wrongly. One late moment makes all
	// answers about an order wrong, and a short row has few answers: a single such order does not prove explain wrong.
	clearlyBelow = 0.99
	fewOrders    = 3
)

var errNoProcess = errors.New("no process runs")

// explained counts explanations, those that came true, and the orders of the others.
type explained struct {
	Samples int `json:"samples"`
	True    int `json:"true"`
	Wronged int `json:"wronged"`
}

// share is the part that came true.
func (e explained) share() float64 { return float64(e.True) / float64(max(1, e.Samples)) }

// fails reports whether clearly too few explanations came true.
func (e explained) fails() bool { return e.Wronged > fewOrders && e.share() < clearlyBelow }

func (e explained) String() string {
	if e.Samples == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%.2f %%)", e.True, e.Samples, 100*e.share())
}

// fate is what happened to an order, by the database's clock.
type fate struct {
	settled map[string]time.Time // by step and generation
	jobs    []jobRuns
}

// jobRuns is what is known of the runs of a job.
type jobRuns struct {
	Kind, Generation    string
	Created             time.Time
	Attempted, Finished *time.Time  // the latest run
	Failed              []time.Time // runs
}

// moments lists when something happened to a step or its jobs after a moment.
func (f fate) moments(c claim, after time.Time) (list []time.Time) {
	if settled, ok := f.settled[c.name()]; ok {
		list = append(list, settled)
	}
	if c.Event == "given_up" {
		return list
	}
	for _, j := range f.jobs {
		if j.Kind != (orders.CarryJob{}).Kind() && j.Kind+":"+j.Generation != c.name() {
			continue
		}
		all := append(slices.Clone(j.Failed), j.Created)
		for _, t := range []*time.Time{j.Attempted, j.Finished} {
			if t != nil {
				all = append(all, *t)
			}
		}
		list = append(list, slices.DeleteFunc(all, func(t time.Time) bool { return !t.After(after) })...)
	}
	return list
}

func (c claim) name() string { return fmt.Sprintf("%s:%d", c.Step, c.Generation) }

// judge compares the explanations with what happened. The system must be at rest. An explanation is true if each of its
// claims is. wrong has the false ones; wedged those of them that told of work where none was done for long.
func (x *explainer) judge(ctx context.Context) (count explained, wrong, wedged []string, err error) {
	fates, err := x.fates(ctx)
	if err != nil {
		return count, nil, nil, err
	}
	if slices.ContainsFunc(x.samples, func(s *sample) bool { return s.said.At.Sub(s.asked).Abs() > maxDrift }) {
		return count, nil, nil, nil // the row moves the database's clock, so no time can be compared
	}
	wronged := map[uuid.UUID]bool{}
	for _, s := range x.samples {
		count.Samples++
		before := len(wrong)
		if len(s.said.Waits) == 0 {
			wrong = append(wrong, fmt.Sprintf("order %s: it is not at rest and nothing is under way", s.said.OrderID))
		}
		for i, c := range s.said.Waits {
			late := x.lateBy(s, i, fates[s.said.OrderID])
			if late <= lateness || s.overtaken[i] {
				continue
			}
			text := fmt.Sprintf("order %s at %s: %s is %s, %s by %s, which came %s too late", s.said.OrderID,
				s.said.At.Format(time.TimeOnly), c.name(), c.Why, c.Event, moment(c.By), late.Round(time.Second))
			wrong = append(wrong, text)
			if late > wedgedAfter && slices.Contains([]string{"running", "carrier", "queued"}, c.Why) {
				wedged = append(wedged, text)
			}
		}
		if len(wrong) == before {
			count.True++
		} else {
			wronged[s.said.OrderID] = true
		}
	}
	count.Wronged = len(wronged)
	return count, wrong, wedged, nil
}

func moment(t *time.Time) string {
	if t == nil {
		return "an act of a person"
	}
	return t.Format(time.TimeOnly)
}

// lateBy returns by how much the event of a claim came later than the claim said. The time in which no process answered
// does not count. A claim without a time is true unless the step had an outcome at once: a process that a row starts
// stands for a person who acts.
func (x *explainer) lateBy(s *sample, i int, f fate) time.Duration {
	c := s.said.Waits[i]
	if c.By == nil {
		if settled, ok := f.settled[c.name()]; ok && settled.Sub(s.said.At) < atOnce {
			return never
		}
		return 0
	}
	by := x.postponed(s.said.At, *c.By)
	if later := s.later[i]; later != nil && !later.At.After(by.Add(lateness)) && c.happened(*later) {
		return 0
	}
	moments := f.moments(c, s.said.At)
	if len(moments) == 0 {
		return never
	}
	return slices.MinFunc(moments, time.Time.Compare).Sub(by)
}

// postponed moves the end of a time by the outages in that time. If no process was left, it is not before the next one
// has taken over.
func (x *explainer) postponed(from, to time.Time) time.Time {
	for _, o := range x.outages { // oldest first
		if o.from.Before(to) && o.to.After(from) {
			begin := o.from
			if begin.Before(from) {
				begin = from
			}
			to = to.Add(o.to.Sub(begin))
			if next := o.to.Add(takeover); o.silent && to.Before(next) {
				to = next
			}
		}
	}
	return to
}

// overtakenBy reports whether a later explanation has a reason that came from outside after this one: the provider
// fails, a person pauses, or no process is left. What a step waited for before that cannot come. A process looks at its
// breakers four times a second, so for a moment an answer may also miss one that is open already.
func (c claim) overtakenBy(later explanation) bool {
	outside := []string{"breaker_open", "lane_paused", "queue_paused", "no_worker"}
	i := slices.IndexFunc(later.Waits, c.same)
	return i >= 0 && slices.Contains(outside, later.Waits[i].Why) && !slices.Contains(outside, c.Why)
}

func (c claim) same(o claim) bool { return o.Step == c.Step && o.Generation == c.Generation }

// happened reports whether a later explanation shows that the event has happened. Not all that happens leaves a trace
// in the database: a job that waits for a while keeps none of its runs.
func (c claim) happened(later explanation) bool {
	i := slices.IndexFunc(later.Waits, c.same)
	if i < 0 {
		return true
	}
	now := later.Waits[i]
	switch c.Event {
	case "outcome":
		return now.Why != c.Why || now.Process != c.Process || !now.Since.Equal(c.Since)
	case "attempt":
		return now.Attempts > c.Attempts || now.Why == "running" || now.Until.After(c.Until)
	case "new_job":
		return now.Why != c.Why
	}
	return false
}

// fates reads what happened to the orders of the samples.
func (x *explainer) fates(ctx context.Context) (map[uuid.UUID]fate, error) {
	fates, ids := map[uuid.UUID]fate{}, []uuid.UUID{}
	for _, s := range x.samples {
		if _, ok := fates[s.said.OrderID]; !ok {
			fates[s.said.OrderID] = fate{settled: map[string]time.Time{}}
			ids = append(ids, s.said.OrderID)
		}
	}
	conn, err := x.primary().connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var id uuid.UUID
	var step string
	var settled time.Time
	rows, err := conn.Query(ctx, `SELECT order_id, step || ':' || generation, settled_at FROM millrace.order_steps
		WHERE settled_at IS NOT NULL AND order_id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	if _, err := pgx.ForEachRow(rows, []any{&id, &step, &settled}, func() error {
		fates[id].settled[step] = settled
		return nil
	}); err != nil {
		return nil, err
	}
	return fates, x.jobs(ctx, conn, ids, fates)
}

func (x *explainer) jobs(ctx context.Context, conn *pgx.Conn, ids []uuid.UUID, fates map[uuid.UUID]fate) error {
	rows, err := conn.Query(ctx, `SELECT o.id, j.kind, coalesce(j.args ->> 'generation', ''), j.created_at, j.attempted_at,
			j.finalized_at, ARRAY(SELECT (e ->> 'at')::timestamptz FROM unnest(j.errors) AS e)
		FROM millrace.river_job j JOIN (SELECT unnest($1::uuid[]) AS id) o ON j.args ->> 'order_id' = o.id::text`, ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var j jobRuns
		if err := rows.Scan(&id, &j.Kind, &j.Generation, &j.Created, &j.Attempted, &j.Finished, &j.Failed); err != nil {
			return err
		}
		of := fates[id]
		of.jobs = append(of.jobs, j)
		fates[id] = of
	}
	return rows.Err()
}
