package orders

import (
	"fmt"
	"slices"
)

// Difference is a point in which an order, as it is stored, differs from what this program makes of its events.
type Difference struct {
	What   string `json:"what"`   // such as "status", "version 3" or "book_shipment:1"
	Stored string `json:"stored"` // no personal data
	Made   string `json:"made"`   // by this program
}

// Differences replays an order's whole log, and returns where the result differs from the order. It ends at an event
// that this program refuses: later events then have no meaning. The events begin with the placement, by version.
//
// It answers whether this program would treat an order as the program did that stored it, where Verify answers whether
// the order is right. Frozen bodies and deadlines are not compared: the stored ones stay in force.
func Differences(o Order, events []Event) []Difference {
	c := &comparison{stored: o}
	folded, err := Fold(o, events[:1])
	if err != nil {
		panic(err) // cannot happen: no event was applied
	}
	c.event(&folded, events[0])
	for _, e := range events[1:] {
		d, err := folded.decide(e)
		if err != nil {
			c.note(fmt.Sprintf("version %d", e.Version), string(e.Kind)+suffix(e), "refused: "+err.Error())
			return c.found
		}
		folded = d.Order
		c.event(&folded, e)
	}
	c.order(&folded)
	c.steps(&folded)
	return c.found
}

// suffix names the step of an event, if it has one.
func suffix(e Event) string {
	if e.Step == "" {
		return ""
	}
	return fmt.Sprintf(" %s:%d", e.Step, e.Generation)
}

type comparison struct {
	stored Order
	found  []Difference
}

func (c *comparison) note(what string, stored, made any) {
	if s, m := fmt.Sprint(stored), fmt.Sprint(made); s != m {
		c.found = append(c.found, Difference{what, s, m})
	}
}

// event compares what the log has of the order after an event.
func (c *comparison) event(after *Order, e Event) {
	c.note(fmt.Sprintf("version %d", e.Version), fmt.Sprintf("%s at %d %%", e.Status, e.Progress),
		fmt.Sprintf("%s at %d %%", after.Status, after.Progress()))
}

func (c *comparison) order(made *Order) {
	c.note("version", c.stored.Version, made.Version)
	c.note("status", c.stored.Status, made.Status)
	c.note("goal", c.stored.Goal, made.Goal)
	c.note("reason", c.stored.Reason, made.Reason)
	c.note("total", c.stored.Total, made.Total)
	c.note("refunded", c.stored.Refunded, made.Refunded)
}

// steps compares the steps both ways: this program may start a step that is not stored, and the other way round.
func (c *comparison) steps(made *Order) {
	for _, m := range made.Steps {
		what := fmt.Sprintf("%s:%d", m.Name, m.Generation)
		s := c.stored.Step(m.Name, m.Generation)
		if s == nil {
			c.note(what, "not there", "started")
			continue
		}
		c.note(what, s.summary(), m.summary())
	}
	for _, s := range c.stored.Steps {
		if made.Step(s.Name, s.Generation) == nil {
			c.note(fmt.Sprintf("%s:%d", s.Name, s.Generation), s.State, "not started")
		}
	}
	if !slices.EqualFunc(c.stored.Steps, made.Steps, func(a, b Step) bool {
		return a.Name == b.Name && a.Generation == b.Generation
	}) && len(c.found) == 0 {
		c.note("steps", sequence(c.stored.Steps), sequence(made.Steps))
	}
}

// summary is what of a step must not depend on the program.
func (s *Step) summary() string {
	return fmt.Sprintf("%s, amount %d, key %d, reference %q, reason %q", s.State, s.Amount, s.KeyGeneration, s.Reference,
		s.Reason)
}

func sequence(steps []Step) (names []string) {
	for _, s := range steps {
		names = append(names, fmt.Sprintf("%s:%d", s.Name, s.Generation))
	}
	return names
}
