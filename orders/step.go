package orders

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// StepName names a step of the saga. It is also the kind of the River job that carries the step out.
type StepName string

// StepState is how far a step is.
type StepState string

// The states. A step leaves StatePending exactly once.
const (
	StatePending   StepState = "pending" // intended: it may be sent at any time, and may have been sent already
	StateSucceeded StepState = "succeeded"
	StateRefused   StepState = "refused" // the provider said no: it did not take effect and never will
	StateUnknown   StepState = "unknown" // given up without an answer: it may have taken effect
)

// Step is the intent to make one call to a provider, and what came of it. It is stored in the transaction that
// decides on it, before any call is made, and every send of it carries exactly these bytes under this key.
type Step struct {
	Name       StepName
	Generation int // 1; one more each time the step is done again
	// KeyGeneration is the generation whose idempotency key and bytes the step is sent with: its own, but for another
	// try of one that got no answer. Whatever became of that is asked first, and under one key it happens once.
	KeyGeneration int
	State         StepState
	Amount        Money  // how much is refunded, of a refund; the order's total otherwise
	Request       []byte // the frozen request body, JSON; empty if those of an earlier generation are sent
	Reference     string // the provider's own id of the effect
	Reason        string // why it was refused or is unknown
	StartedAt     time.Time
	DeadlineAt    time.Time // no send after this moment
	SettledAt     time.Time // zero while pending
}

// StepKey is the idempotency key of a step at its provider, by its KeyGeneration: the same for every send of it.
func StepKey(order ID, name StepName, generation int) string {
	return fmt.Sprintf("%s:%s:%d", order, name, generation)
}

// ParseStepKey reads a key that StepKey made.
func ParseStepKey(key string) (StepJob, error) {
	parts := strings.Split(key, ":")
	if len(parts) != 3 {
		return StepJob{}, fmt.Errorf("key of a step must have three parts, not %d", len(parts))
	}
	id, err := uuid.Parse(parts[0])
	if err != nil {
		return StepJob{}, fmt.Errorf("key of a step: %w", err)
	}
	generation, err := strconv.Atoi(parts[2])
	if err != nil {
		return StepJob{}, fmt.Errorf("key of a step: %w", err)
	}
	return StepJob{OrderID: id, Step: StepName(parts[1]), Generation: generation}, nil
}

// record gives the step the outcome that an event tells of, and returns a copy: starting steps may move the step.
func (s *Step) record(outcome StepState, e Event) *Step {
	s.State, s.Reference, s.Reason, s.SettledAt = outcome, e.Reference, e.Reason, e.At
	return new(*s)
}

// mayHaveTakenEffect says that the step has to be undone if the order is.
func (s *Step) mayHaveTakenEffect() bool { return s.State == StateSucceeded || s.State == StateUnknown }

// problem says in one line why a step did not succeed.
func (s *Step) problem() string { return fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Reason) }

// StepJob is the args of the River job that carries out one step. Ids only: River UI shows args to operators.
// That it satisfies river.JobArgs by structure is what lets store enqueue it without knowing any worker.
type StepJob struct {
	OrderID    ID       `json:"order_id"`
	Step       StepName `json:"step"`
	Generation int      `json:"generation"`
}

// Kind is the step's name, so that River UI counts and filters by step.
func (j StepJob) Kind() string { return string(j.Step) }

// SortSteps puts steps in the order in which they were started, those of one moment in the order of the saga.
func SortSteps(steps []Step) {
	slices.SortFunc(steps, func(a, b Step) int { return a.compare(&b) })
}

// place moves the steps from an index on to where they belong among those before, which are sorted. Mostly that is
// where they are, and an order may have many.
func place(steps []Step, from int) {
	for i := from; i < len(steps); i++ {
		for j := i; j > 0 && steps[j].compare(&steps[j-1]) < 0; j-- {
			steps[j], steps[j-1] = steps[j-1], steps[j]
		}
	}
}

func (s *Step) compare(other *Step) int {
	if n := s.StartedAt.Compare(other.StartedAt); n != 0 {
		return n
	}
	position := func(name StepName) int {
		return slices.IndexFunc(saga, func(spec Spec) bool { return spec.Name == name })
	}
	return cmp.Or(cmp.Compare(position(s.Name), position(other.Name)), cmp.Compare(s.Generation, other.Generation))
}
