package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/millrace-orders/millrace/api"
)

// explainCommand says where an order stands, over the API.
type explainCommand struct {
	remoteFlags
	ID string `arg:"" help:"Order to explain."`
}

// Run prints the sentence, the open steps, what happens next, and what may be done.
func (c *explainCommand) Run(p *process) error {
	var x api.Explanation
	return c.call(p, http.MethodGet, orderPath(c.ID, "/explain"), nil, &x, func() error {
		return printExplanation(p.stdout, x)
	})
}

func printExplanation(out io.Writer, x api.Explanation) error {
	fmt.Fprintf(out, "%s  %s  version %d\n%s\n", x.OrderID, x.Status, x.Version, x.Standing)
	if len(x.Waits) > 0 {
		fmt.Fprintln(out)
		if err := printTable(out, "STEP\tWHY\tATTEMPTS\tLAST ERROR\tDEADLINE\tNEXT\tBY", func(w io.Writer) {
			for _, s := range x.Waits {
				attempts, by := "-", "-"
				if s.Attempts != nil {
					attempts = fmt.Sprint(*s.Attempts)
				}
				if s.By != nil {
					by = at(*s.By)
				}
				fmt.Fprintf(w, "%s:%d\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Step, s.Generation, orDash(string(s.Why)), attempts,
					orDash(s.LastError), at(s.DeadlineAt), s.Event, by)
			}
		}); err != nil {
			return err
		}
	}
	if x.Next != nil {
		fmt.Fprintf(out, "\nNext, by itself: %s of %s, by %s\n", x.Next.Event, x.Next.Step, at(x.Next.By))
	}
	for _, a := range x.Actions {
		fmt.Fprintf(out, "\n%s\n", a.What)
		if a.Command != "" {
			fmt.Fprintln(out, "    "+a.Command)
			continue
		}
		call := "    " + a.Method + " " + a.Path
		if a.Body != "" {
			call += " " + a.Body
		}
		if a.Address == "operations" {
			call += " (operations address)"
		}
		fmt.Fprintln(out, call)
	}
	if x.Belongs == nil {
		return nil
	}
	return printBelongings(out, x.Belongs)
}

// printBelongings prints what belongs to the order, without what there is none of.
func printBelongings(out io.Writer, b *api.Belongings) error {
	fmt.Fprintf(out, "\nRequest: %s. Trace: %s.\n", orDash(b.RequestID), orDash(b.TraceID))
	if len(b.Messages)+len(b.Notifications)+len(b.Findings)+len(b.Audit) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	return printTable(out, "AT\tWHAT BELONGS TO IT\tSTATE\tDETAIL", func(w io.Writer) {
		for _, m := range b.Messages {
			detail := fmt.Sprintf("version %d to webhook %s, attempts: %d", m.Version, m.WebhookID, m.Attempts)
			if m.Error != "" {
				detail += ", " + m.Error
			}
			fmt.Fprintf(w, "%s\tmessage %s\t%s\t%s\n", at(m.CreatedAt), m.Type, m.State, detail)
		}
		for _, n := range b.Notifications {
			fmt.Fprintf(w, "%s\te-mail %d\t%s\t-\n", at(n.At), n.Generation, n.State)
		}
		for _, f := range b.Findings {
			fmt.Fprintf(w, "%s\tfinding %s %s\t%s\t%s\n", at(f.FirstSeenAt), f.Provider, f.Kind, f.State, orDash(f.Detail))
		}
		for _, e := range b.Audit {
			fmt.Fprintf(w, "%s\taudit %d\t%s\tby %s\n", at(e.At), e.ID, e.Action, e.Actor)
		}
	})
}
