package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-orders/millrace/store"
)

var (
	errViolations = errors.New("invariants are violated")
	// errNotVerified says that nothing is known about the invariants. It has an exit status of its own.
	errNotVerified = errors.New("could not verify")
)

// verifyCommand checks a deployment's invariants. docs/verify.md is about it.
type verifyCommand struct {
	databaseFlags
	Deep bool     `help:"Check all orders and the whole log, not only the latest."`
	JSON bool     `name:"json" help:"Print JSON."`
	Skip []string `help:"Checks to leave out, by name, such as leader."`
}

// Validate reports all problems at once.
func (c *verifyCommand) Validate() error {
	problems := []error{c.check()}
	for _, name := range c.Skip {
		if !slices.ContainsFunc(store.Checks(), func(check store.Check) bool { return check.Name == name }) {
			problems = append(problems, fmt.Errorf("--skip: there is no check %q", name))
		}
	}
	return errors.Join(problems...)
}

// Run prints what is wrong. It fails if anything is, and with errNotVerified if that could not be found out.
func (c *verifyCommand) Run(p *process) error {
	var found store.Verification
	err := withStore(p.ctx, c.databaseFlags, func(s *store.Store) (err error) {
		found, err = s.Verify(p.ctx, store.VerifyOptions{Deep: c.Deep, Skip: c.Skip})
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errNotVerified, err)
	}
	if c.JSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(found)
	} else {
		err = printVerification(p.stdout, found)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotVerified, err)
	}
	if len(found.Violations) > 0 {
		return errViolations
	}
	return nil
}

func printVerification(w io.Writer, v store.Verification) error {
	for _, violation := range v.Violations {
		if _, err := fmt.Fprintf(w, "%s %s: %d\n  %s.\n  %s.\n", violation.Check, violation.Invariant, violation.Count,
			violation.Means, violation.Do); err != nil {
			return err
		}
		for _, detail := range violation.Details {
			fmt.Fprintln(w, "  -", detail)
		}
		if more := violation.Count - len(violation.Details); more > 0 {
			fmt.Fprintf(w, "  - and %d more\n", more)
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprintf(w, "looked at %d orders and %d events in %.1f s: %d of %d checks found something\n",
		v.Orders, v.Events, v.DurationSeconds, len(v.Violations), len(store.Checks()))
	return err
}
