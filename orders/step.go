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

// A step leaves StatePending exactly once.
const (
	StatePending   StepState = "pending" // may be sent at any time, and may have been sent already
	StateSucceeded StepState = "succeeded"
	StateRefused   StepState = "refused" // the provider refused: the step has no effect and never will
	StateUnknown   StepState = "unknown" // given up without an answer: it may have taken effect
)

// Step is the intent to make one call to a provider, and its outcome. It is stored in the transaction that decides on
// it, before any call. Every send carries exactly these bytes under this key.
type Step struct {
	Name       StepName
	Generation int // 1; one more each time the step is done again
	// KeyGeneration is the generation whose idempotency key and bytes the step is sent with. Normally it is the step's
	// own. A retry of an unanswered step reuses the original's key, after asking the provider, so it happens once.
	KeyGeneration int
	State         StepState
	Amount        Money  // a refund's amount; otherwise the order's total
	Request       []byte // the frozen request body, JSON; empty if an earlier generation's bytes are sent
	Reference     string // the provider's own id of the effect
	Reason        string // why it was refused or is unknown
	StartedAt     time.Time
	DeadlineAt    time.Time // no send after this moment
	SettledAt     time.Time // zero while pending
}

// StepKey returns the idempotency key of a step at its provider, by its KeyGeneration. All sends of the step share it.
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

// record sets the outcome from an event, and returns a copy: starting new steps may move the original in memory.
func (s *Step) record(outcome StepState, e Event) *Step {
	s.State, s.Reference, s.Reason, s.SettledAt = outcome, e.Reference, e.Reason, e.At
	return new(*s)
}

// mayHaveTakenEffect reports whether the step must be undone if the order is.
func (s *Step) mayHaveTakenEffect() bool { return s.State == StateSucceeded || s.State == StateUnknown }

// problem describes in one line why a step did not succeed.
func (s *Step) problem() string { return fmt.Sprintf("%s %s: %s", s.Name, s.State, s.Reason) }

// SortSteps sorts steps by their start, and steps with equal starts by their place in the saga.
func SortSteps(steps []Step) {
	slices.SortFunc(steps, func(a, b Step) int { return a.compare(&b) })
}

// place sorts the steps from an index on into the steps before, which are sorted. The new steps mostly belong at the
// end already, and an order may have many steps, so it does not sort them all.
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
