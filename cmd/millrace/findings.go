package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// findingsCommand is about what reconciliation found. It needs the database and no server.
type findingsCommand struct {
	List   listFindingsCommand   `cmd:"" help:"List findings, newest first."`
	Accept acceptFindingsCommand `cmd:"" help:"Close the findings of a key that were put right at the provider."`
}

type listFindingsCommand struct {
	databaseFlags
	State string `enum:"open,resolved,accepted" default:"open" help:"open, resolved or accepted."`
	Limit int    `default:"1000" help:"How many."`
}

// Validate reports all problems at once.
func (c *listFindingsCommand) Validate() error { return errors.Join(c.check(), checkLimit(c.Limit)) }

// Run prints a table.
func (c *listFindingsCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		findings, err := s.Findings(p.ctx, store.FindingState(c.State), c.Limit)
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
	databaseFlags
	Provider string `arg:"" help:"payment, inventory, shipping or email."`
	Key      string `arg:"" help:"The key, as in the list."`
	Reason   string `required:"" help:"What was done about it; for the audit log."`
}

// Validate reports all problems at once.
func (c *acceptFindingsCommand) Validate() error {
	problems := []error{c.check()}
	if !slices.Contains(orders.Providers(), orders.Provider(c.Provider)) {
		problems = append(problems, fmt.Errorf("%q is not a provider", c.Provider))
	}
	if strings.TrimSpace(c.Reason) == "" || len(c.Reason) > 1000 {
		problems = append(problems, errors.New("--reason must have 1 to 1000 characters"))
	}
	return errors.Join(problems...)
}

// Run closes what is open of the key, and fails if nothing is.
func (c *acceptFindingsCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		accepted, err := s.AcceptFindings(p.ctx, orders.Provider(c.Provider), c.Key, c.Reason, commandLine())
		if err != nil {
			return err
		}
		if len(accepted) == 0 {
			return fmt.Errorf("%s has no open finding of %s", c.Provider, c.Key)
		}
		for _, f := range accepted {
			fmt.Fprintf(p.stdout, "accepted: %s %s of %s\n", f.Provider, f.Kind, f.Key)
		}
		return nil
	})
}
