package orders

import "time"

// Moment holds the changing fields of an order, as they were after one of its events. It is stored with a command's
// idempotency key, so that a repeated command gets the same answer. The order itself has moved on by then, and its log
// may have been pruned.
type Moment struct {
	Version   int64        `json:"version"`
	Status    Status       `json:"status"`
	Goal      Goal         `json:"goal"`
	Reason    string       `json:"reason,omitempty"`
	Refunded  Money        `json:"refunded,omitempty"`
	UpdatedAt time.Time    `json:"updatedAt"`
	Steps     []StepMoment `json:"steps"`
}

// StepMoment is the state of a step in a Moment.
type StepMoment struct {
	Name       StepName  `json:"name"`
	Generation int       `json:"generation"`
	State      StepState `json:"state"`
	Reference  string    `json:"reference,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	SettledAt  time.Time `json:"settledAt,omitzero"`
}

// Moment returns the order's changing fields as they are now.
func (o *Order) Moment() Moment {
	m := Moment{
		Version: o.Version, Status: o.Status, Goal: o.Goal, Reason: o.Reason, Refunded: o.Refunded, UpdatedAt: o.UpdatedAt,
		Steps: make([]StepMoment, len(o.Steps)),
	}
	for i, s := range o.Steps {
		m.Steps[i] = StepMoment{s.Name, s.Generation, s.State, s.Reference, s.Reason, s.SettledAt}
	}
	return m
}

// At returns the order as it was at the moment m. Fields that never change are taken from o.
func (o Order) At(m Moment) Order {
	type name struct {
		step       StepName
		generation int
	}
	now := make(map[name]Step, len(o.Steps))
	for _, s := range o.Steps {
		now[name{s.Name, s.Generation}] = s
	}
	o.Version, o.Status, o.Goal, o.Reason = m.Version, m.Status, m.Goal, m.Reason
	o.Refunded, o.UpdatedAt = m.Refunded, m.UpdatedAt
	o.Steps = make([]Step, len(m.Steps))
	for i, then := range m.Steps {
		s := now[name{then.Name, then.Generation}]
		s.Name, s.Generation, s.State = then.Name, then.Generation, then.State
		s.Reference, s.Reason, s.SettledAt = then.Reference, then.Reason, then.SettledAt
		o.Steps[i] = s
	}
	return o
}
