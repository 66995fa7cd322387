package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// findingsCommand handles reconciliation's findings. It needs the database and no server.
type findingsCommand struct {
	List   listFindingsCommand   `cmd:"" help:"List findings, newest first."`
	Accept acceptFindingsCommand `cmd:"" help:"Close the open findings of a key, after you corrected them at the provider."`
	Undo   undoFindingsCommand   `cmd:"" help:"Undo what providers did for orders that are lost, such as after a restore."`
}

type listFindingsCommand struct {
	databaseFlags `group:"Database"`
	State         string `enum:"open,resolved,accepted" default:"open" help:"State of the findings to list."`
	Limit         int    `default:"1000" min:"1" max:"1000000" help:"Largest number of findings to list."`
}

// Validate reports all problems at once.
func (c *listFindingsCommand) Validate() error { return c.check() }

// Run prints a table.
func (c *listFindingsCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		findings, err := s.Findings.List(p.ctx, store.FindingState(c.State), c.Limit)
		if err != nil {
			return err
		}
		return printTable(p.stdout, "SINCE\tSEEN\tPROVIDER\tKIND\tKEY\tORDER\tDETAIL", func(w io.Writer) {
			for _, f := range findings {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", at(f.FirstSeenAt), at(f.LastSeenAt), f.Provider, f.Kind, f.Key,
					orDash(f.OrderID), f.Detail)
			}
		})
	})
}

type acceptFindingsCommand struct {
	databaseFlags `group:"Database"`
	Provider      string `arg:"" enum:"payment,inventory,shipping,email" help:"Provider of the finding: payment, inventory, shipping or email."`
	Key           string `arg:"" help:"Key of the finding, as \"findings list\" prints it."`
	Reason        string `required:"" help:"What you did about it, for the audit log: 1 to 1000 characters."`
}

// Validate reports all problems at once.
func (c *acceptFindingsCommand) Validate() error {
	problems := []error{c.check()}
	if c.Reason != "" && strings.TrimSpace(c.Reason) == "" || len(c.Reason) > 1000 {
		problems = append(problems, errors.New("--reason must have 1 to 1000 characters"))
	}
	return errors.Join(problems...)
}

// Run closes the open findings of the key, and fails if there are none.
func (c *acceptFindingsCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		accepted, err := s.Findings.Accept(p.ctx, orders.Provider(c.Provider), c.Key, c.Reason, commandLine())
		if err != nil {
			return err
		}
		if len(accepted) == 0 {
			return fmt.Errorf("%s has no open finding of %s: see millrace findings list", c.Provider, c.Key)
		}
		for _, f := range accepted {
			fmt.Fprintf(p.stdout, "accepted: %s %s of %s\n", f.Provider, f.Kind, f.Key)
		}
		return nil
	})
}
