package orders

import (
	"fmt"
	"regexp"
	"slices"
)

// Cause is why an order needs attention, as data: orders are grouped, counted and retried by it. In a filter, an empty
// field matches everything.
type Cause struct {
	Step  StepName  `json:"step,omitempty"`  // that the order is stuck at
	State StepState `json:"state,omitempty"` // of the step: refused or unknown
	Code  string    `json:"code,omitempty"`  // why, in one word: the provider's, such as provider_refused, or ours
}

// codeDeclared is the code of a step that an operator has declared not done. The operator's words are free text.
const codeDeclared = "declared"

var codePattern = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// Cause returns why the order needs attention; the zero Cause if it does not. If several steps are stuck, it is about
// the same step as Reason.
func (o *Order) Cause() Cause {
	stuck := o.Stuck()
	if o.Status != NeedsAttention || len(stuck) == 0 {
		return Cause{}
	}
	i := slices.IndexFunc(stuck, func(s Step) bool { return s.problem() == o.Reason })
	s := stuck[max(i, 0)]
	c := Cause{s.Name, s.State, s.Reason}
	if !codePattern.MatchString(c.Code) {
		c.Code = codeDeclared
	}
	return c
}

// String returns the cause as a sentence for people, in the form of an order's Reason.
func (c Cause) String() string { return fmt.Sprintf("%s %s: %s", c.Step, c.State, c.Code) }
