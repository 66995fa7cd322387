package upstream

import (
	"errors"
	"fmt"

	"github.com/millrace-orders/millrace/orders"
)

// Rotate replaces the providers' tokens and the mail server's password, for the calls to come. Nothing is replaced if
// one of them cannot be sent.
func (c *Clients) Rotate(tokens map[orders.Provider]string, password string) error {
	var problems []error
	for p := range c.clients {
		if token := tokens[p]; token != "" && !visible(token) {
			problems = append(problems, fmt.Errorf("%s: the token has characters that a header cannot carry", p))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for p, client := range c.clients {
		client.setToken(tokens[p])
	}
	if c.mailer != nil {
		c.mailer.password.Store(&password)
	}
	return nil
}
