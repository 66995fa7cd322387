package simulator

import (
	"errors"
	"slices"
)

type message struct {
	party
	amount
	Template string `json:"template"`
	Reason   string `json:"reason"`
}

func (m *message) check() error {
	return errors.Join(m.party.check(), m.amount.check(), m.checkTemplate())
}

func (m *message) checkTemplate() error {
	templates := []string{"order_completed", "order_failed", "order_cancelled", "order_refunded"}
	if !slices.Contains(templates, m.Template) {
		return errors.New("template is unknown")
	}
	return nil
}

func (m *message) decide(*books) verdict { return done(Entry{Template: m.Template}) }
