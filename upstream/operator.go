package upstream

import (
	"context"
	"errors"
)

// ErrNoOperator reports that there is no mail server, or no address to send an operator's mail to.
var ErrNoOperator = errors.New("no address of an operator is configured")

// MailOperator sends a message to the operator's address. It may be sent twice if an answer is lost; id tells the
// recipient. It does not ask the breaker, and does not count as a call: the messages are few, and may be about the
// breaker.
//
// Errors: ErrNoOperator, and those of Send.
func (c *Clients) MailOperator(ctx context.Context, id, subject, text string) error {
	if c.mailer == nil || c.mailer.operator == nil {
		return ErrNoOperator
	}
	m, err := newMessage(c.mailer.from, c.mailer.operator, id, subject, text, "")
	if err != nil {
		return err
	}
	again := ledger{
		func(context.Context) (bool, error) { return true, nil }, func(context.Context) error { return nil },
	}
	_, err = c.mailer.transmit(ctx, again, m)
	return err
}
