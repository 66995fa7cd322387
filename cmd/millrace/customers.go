package main

import (
	"fmt"

	"github.com/millrace-orders/millrace/store"
)

// customersCommand handles what is kept of customers. It needs the database and no server.
type customersCommand struct {
	Forget forgetCustomerCommand `cmd:"" help:"Remove the e-mail address, the address and all names of a customer; the money stays."`
}

type forgetCustomerCommand struct {
	databaseFlags `group:"Database"`
	ID            string `arg:"" help:"Id of the customer."`
}

// Validate reports all problems at once.
func (c *forgetCustomerCommand) Validate() error { return c.check() }

// Run forgets the customer.
func (c *forgetCustomerCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		forgotten, err := s.Customers.Forget(p.ctx, c.ID, commandLine())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "forgotten: customer %s, in %d orders\n", c.ID, forgotten.Orders)
		for _, f := range forgotten.Files {
			fmt.Fprintf(p.stdout, "not forgotten: %d orders in archive file %s\n", f.Orders, f.Name)
		}
		return err
	})
}
