package simulator

import (
	"errors"
	"slices"

	"github.com/millrace-orders/millrace/orders"
)

const email = "email"

func emailOperations() []operation {
	return []operation{{orders.Email, "/messages", email, false, func() body { return new(message) }}}
}

type message struct {
	party
	amount
	Template string  `json:"template"`
	Reason   string  `json:"reason"`
	To       string  `json:"to"`
	Total    decimal `json:"total"`
	Items    []line  `json:"items"`
}

func (m *message) check() error {
	return errors.Join(m.party.check(), m.amount.check(), m.checkTemplate())
}

func (m *message) checkTemplate() error {
	if !slices.Contains(orders.Templates(), m.Template) {
		return errors.New("template is unknown")
	}
	return nil
}

func (m *message) decide(*books) verdict { return done(Entry{Template: m.Template, To: m.To}) }
