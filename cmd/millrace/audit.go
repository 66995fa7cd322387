package main

import (
	"fmt"
	"io"

	"github.com/millrace-orders/millrace/store"
)

// auditCommand prints what admins and operators did.
type auditCommand struct {
	databaseFlags `group:"Database"`
	Limit         int `default:"50" min:"1" max:"1000000" help:"Largest number of entries to show."`
}

// Validate reports all problems at once.
func (c *auditCommand) Validate() error { return c.check() }

// Run prints the end of the audit log, newest first.
func (c *auditCommand) Run(p *process) error {
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		entries, err := s.Audit.List(p.ctx, c.Limit)
		if err != nil {
			return err
		}
		return printTable(p.stdout, "AT\tACTOR\tROLE\tACTION\tTARGET\tFROM\tREQUEST\tDETAIL", func(w io.Writer) {
			for _, e := range entries {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", at(e.At), e.Name, orDash(string(e.Role)), e.Action,
					orDash(e.Target), orDash(e.RemoteAddress), orDash(e.RequestID), store.AuditText(e.Detail))
			}
		})
	})
}
