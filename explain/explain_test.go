package explain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/explain"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func place() orders.Order {
	return orders.Place(orders.Placement{
		Principal: "p", CustomerID: "1", Currency: orders.USD,
		Items: []orders.Item{{ProductID: 1, Quantity: 2, Price: 2999}},
	}, orders.NewID(), epoch).Order
}

// TestEveryStateIsExplained walks orders through random outcomes, settlements and refunds, beside random jobs,
// processes and pauses. In every state the explanation names what happens next and when, or what a person may do, or
// the order has ended for good.
func TestEveryStateIsExplained(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := place()
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			e := orders.Event{
				OrderID: o.ID, At: o.UpdatedAt.Add(time.Second), Reason: "no",
				Kind: rapid.SampledFrom(orders.EventKinds()).Draw(t, "kind"),
			}
			if len(o.Steps) > 0 {
				s := rapid.SampledFrom(o.Steps).Draw(t, "step")
				e.Step, e.Generation = s.Name, s.Generation
			}
			if d, err := orders.Decide(o, e); err == nil {
				o = d.Order
			}
			check(t, o)
		}
	})
}

func check(t *rapid.T, o orders.Order) {
	e := evidence(t, o)
	x := explain.Of(e)
	require.NotEmpty(t, x.Standing)
	require.NotEmpty(t, x.Detail)
	require.Len(t, x.Waits, len(pending(o)))
	for _, w := range x.Waits {
		require.Contains(t, explain.Causes(), w.Cause)
		require.Contains(t, explain.Events(), w.Next)
		if w.By.IsZero() {
			require.NotEmpty(t, x.Actions, "%s has no end and no action", w.Cause)
			require.Contains(t, []explain.Cause{explain.NoWorker, explain.QueuePaused}, w.Cause)
		} else {
			require.True(t, w.By.After(e.At), "%s ends in the past", w.Cause)
			require.False(t, x.Next.By.After(w.By), "the earliest comes next")
		}
		if w.Cause == explain.Running {
			require.True(t, slices.ContainsFunc(e.Workers, func(other store.Worker) bool {
				return other.ID == w.Worker && other.Live
			}), "it is said to run on a process that is not alive")
		}
	}
	ended := o.Idle() && o.Status != orders.NeedsAttention
	if x.Next == nil && !ended {
		require.NotEmpty(t, x.Actions, "%s: nothing happens, and nothing may be done", o.Status)
	}
	if ended {
		require.Nil(t, x.Next)
	}
	for _, a := range x.Actions {
		require.True(t, a.Path != "" || a.Command != "")
		require.NotEmpty(t, a.What)
	}
}

func pending(o orders.Order) (steps []orders.Step) {
	for _, s := range o.Steps {
		if s.State == orders.StatePending {
			steps = append(steps, s)
		}
	}
	return steps
}

// evidence draws what the database may have beside an order.
func evidence(t *rapid.T, o orders.Order) store.Evidence {
	at := o.UpdatedAt.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "age")) * time.Second)
	around := func(name string) time.Time {
		return at.Add(time.Duration(rapid.IntRange(-300, 300).Draw(t, name)) * time.Second)
	}
	before := func(name string) time.Time {
		return at.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, name)) * time.Second)
	}
	lanes := []string{orders.CarryQueue}
	for _, p := range orders.Providers() {
		lanes = append(lanes, string(p))
	}
	e := store.Evidence{
		Order: o, At: at, Queues: map[string]store.Waiting{}, Holds: map[string]store.Hold{},
		LastError: map[string]store.LaneError{},
	}
	for _, id := range []string{"a", "b"}[:rapid.IntRange(0, 2).Draw(t, "processes")] {
		e.Workers = append(e.Workers, store.Worker{
			ID: id, Live: rapid.Bool().Draw(t, "live"), HeartbeatAt: before("beat"), LiveSince: before("since"),
			Shut: rapid.SliceOfDistinct(rapid.SampledFrom(lanes[1:]), rapid.ID).Draw(t, "shut"),
		})
	}
	for _, lane := range lanes {
		if rapid.IntRange(0, 4).Draw(t, "queue") == 0 {
			e.Queues[lane] = store.Waiting{PausedAt: before("paused"), OldestAt: before("oldest")}
		}
		if rapid.IntRange(0, 4).Draw(t, "hold") == 0 && lane != orders.CarryQueue {
			e.Holds[lane] = store.Hold{Reason: "x", Since: before("held"), Until: around("until")}
		}
	}
	job := func(kind, queue string) {
		e.Jobs = append(e.Jobs, store.LiveJob{
			Kind: kind, Queue: queue, Generation: "1", Attempt: 1, ScheduledAt: around("scheduled"),
			State:       rapid.SampledFrom([]string{"available", "running", "retryable", "scheduled"}).Draw(t, "state"),
			AttemptedAt: before("attempted"), Worker: rapid.SampledFrom([]string{"a", "b", "gone"}).Draw(t, "worker"),
		})
	}
	for range rapid.IntRange(0, 2).Draw(t, "carriers") {
		job(orders.CarryJob{}.Kind(), orders.CarryQueue)
	}
	for _, s := range pending(o) {
		if spec, _ := s.Name.Spec(); rapid.Bool().Draw(t, "own") {
			job(string(s.Name), string(spec.Provider))
		}
	}
	return e
}

// The sweep runs as often as the leader is told to, and any living process may lead: the longest time counts. Processes
// that do not say it have the default.
func TestSweepIsAsOftenAsConfigured(t *testing.T) {
	t.Parallel()
	by := func(sweeps ...time.Duration) time.Duration {
		o := place()
		e := store.Evidence{Order: o, At: o.PlacedAt.Add(time.Hour)} // its job is lost
		for i, every := range sweeps {
			e.Workers = append(e.Workers, store.Worker{Live: i > 0, SweepEvery: every})
		}
		return explain.Of(e).Next.By.Sub(e.At)
	}
	slack := by(0, time.Nanosecond).Truncate(time.Second)
	require.Equal(t, slack+5*time.Minute, by(time.Hour, time.Second, 5*time.Minute), "the first fell silent")
	require.Equal(t, slack+2*time.Second, by(time.Hour, 2*time.Second))
	require.Equal(t, slack+explain.SweepEvery, by(time.Hour, 0))
}
