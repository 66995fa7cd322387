package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/reconcile"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

var (
	errViolations = errors.New("invariants are violated")
	// errNotVerified means that the state of the invariants is unknown. It has an exit status of its own.
	errNotVerified = errors.New("could not verify")
)

// verifyCommand checks a deployment's invariants. docs/verify.md describes it.
type verifyCommand struct {
	databaseFlags `group:"Database"`
	providerFlags `group:"Providers"`
	logFlags      `group:"Logs"`
	Deep          bool     `help:"Check all orders and the whole log and, if the URLs of the providers are set, the providers' own records."`
	JSON          bool     `name:"json" help:"Print JSON."`
	Skip          []string `kind:"check" help:"Checks to leave out, by name, such as leader."`
}

// Validate reports all problems at once.
func (c *verifyCommand) Validate() error {
	problems := []error{c.databaseFlags.check()}
	if c.comparable() {
		problems = append(problems, c.providerFlags.check())
	}
	return errors.Join(problems...)
}

// Run prints the violations. It fails if there are any, and with errNotVerified if the checks could not be made.
func (c *verifyCommand) Run(p *process) error {
	var found verificationOutput
	err := withStore(p.ctx, c.databaseFlags, func(s *store.Store) (err error) {
		logger := c.logger(p.stderr)
		options := store.VerifyOptions{Deep: c.Deep, Skip: c.Skip, Progress: progress(logger, time.Now, "verifying")}
		if c.Deep && c.comparable() {
			logger.InfoContext(p.ctx, "comparing the providers' records with the orders")
			if options.Findings, found.Providers, err = c.compare(p.ctx, s); err != nil {
				return err
			}
		}
		found.Verification, err = s.Verifier.Verify(p.ctx, options)
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
		err = printVerification(p.stdout, found, len(slices.Compact(slices.Sorted(slices.Values(c.Skip)))))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotVerified, err)
	}
	if len(found.Violations) > 0 {
		return errViolations
	}
	return nil
}

// verificationOutput is the output as JSON.
type verificationOutput struct {
	store.Verification

	// Providers has the result of each comparison with a provider's records. Missing if there was none.
	Providers map[orders.Provider]store.ReconciliationState `json:"providers,omitempty"`
}

// comparable reports whether there are providers to compare with.
func (c *verifyCommand) comparable() bool {
	return c.PaymentURL+c.InventoryURL+c.ShippingURL+c.EmailURL != ""
}

// compare compares the providers' records with the orders, beginning with the first order.
func (c *verifyCommand) compare(
	ctx context.Context, s *store.Store,
) ([]store.Finding, map[orders.Provider]store.ReconciliationState, error) {
	clients, err := upstream.New(c.config())
	if err != nil {
		return nil, nil, err
	}
	defer clients.Close()
	since := time.Now()
	first, err := s.Orders.Export(ctx, store.Export{Limit: 1})
	if err != nil {
		return nil, nil, err
	}
	if len(first) > 0 {
		since = first[0].PlacedAt
	}
	findings, states, err := reconcile.All(ctx, s, clients, since)
	if findings == nil {
		findings = []store.Finding{}
	}
	return findings, states, err
}

// progress returns a function that logs the progress of a command every few seconds. A short command logs nothing.
func progress(logger *slog.Logger, now func() time.Time, doing string) func(part string, orders, events int64) {
	began := now()
	told := began
	return func(part string, orders, events int64) {
		if at := now(); at.Sub(told) >= tellEvery {
			told = at
			logger.Info("command goes on", "doing", doing, "part", part, "orders", orders, "events", events,
				"seconds", int(at.Sub(began).Seconds()))
		}
	}
}

// checkNames lists all checks.
func checkNames() (names []string) {
	for _, check := range store.Checks() {
		names = append(names, check.Name)
	}
	return names
}

// result returns the result in one line, as in "all checks passed".
func result(violated, skipped int) string {
	made := len(store.Checks()) - skipped
	text := fmt.Sprintf("all %d checks passed", made)
	if violated > 0 {
		text = fmt.Sprintf("%d of %d checks failed", violated, made)
	}
	if skipped > 0 {
		text += fmt.Sprintf(", %d skipped", skipped)
	}
	return text
}

func printVerification(w io.Writer, v verificationOutput, skipped int) error {
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
	for _, p := range slices.Sorted(maps.Keys(v.Providers)) {
		fmt.Fprintf(w, "records of %s: %s\n", p, v.Providers[p])
	}
	_, err := fmt.Fprintf(w, "checked %d orders and %d events in %.1f s: %s\n", v.Orders, v.Events, v.DurationSeconds,
		result(len(v.Violations), skipped))
	return err
}
