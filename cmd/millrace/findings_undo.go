package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-orders/millrace/reconcile"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/upstream"
)

// namedOrders is how many orders are named with a reason. --json names all.
const namedOrders = 5

var errLeft = errors.New("some orders are left")

// undoFindingsCommand undoes, at the providers, what took effect for orders that are lost. It needs the database, the
// providers and no server.
type undoFindingsCommand struct {
	databaseFlags `group:"Database"`
	providerFlags `group:"Providers"`
	logFlags      `group:"Logs"`

	Kind   string        `group:"Undo" enum:"unknown_order" default:"unknown_order" help:"Kind of the findings. Effects of orders that exist are left to the orders."`
	Since  time.Time     `group:"Undo" required:"" help:"Undo only what took effect at this moment or later: the moment that you restored to."`
	DryRun bool          `group:"Undo" help:"Print what would be undone, and change nothing."`
	Rate   int           `group:"Undo" default:"5" min:"1" max:"1000" help:"Most calls to providers in a second."`
	Grace  time.Duration `group:"Undo" default:"10m" min:"0s" help:"Least age of a finding: an order with a younger one is left."`
	Reason string        `group:"Undo" help:"Why, for the audit log: 1 to 1000 characters. Required without --dry-run."`
	JSON   bool          `group:"Undo" name:"json" help:"Print JSON."`
}

// Validate reports all problems at once.
func (c *undoFindingsCommand) Validate() error {
	problems := []error{c.databaseFlags.check(), c.providerFlags.check()}
	if c.Since.After(time.Now()) {
		problems = append(problems, errors.New("--since is in the future: use the moment that you restored to"))
	}
	if !c.DryRun && strings.TrimSpace(c.Reason) == "" || len(c.Reason) > 1000 {
		problems = append(problems, errors.New("--reason must have 1 to 1000 characters, unless there is --dry-run"))
	}
	return errors.Join(problems...)
}

// undoOutput is the output as JSON.
type undoOutput struct {
	DryRun       bool                  `json:"dryRun"`
	Orders       int                   `json:"orders"` // to undo
	Effects      int                   `json:"effects"`
	Totals       []reconcile.UndoTotal `json:"totals"`
	Undone       int                   `json:"undone"` // calls that undid an effect
	Left         int                   `json:"left"`   // orders without an answer
	Held         []reconcile.Held      `json:"held"`
	UndoneBefore int                   `json:"undoneBefore"` // orders that an earlier run has undone
}

// Run prints what is to be undone, and undoes it. It fails if an order is left.
func (c *undoFindingsCommand) Run(p *process) error {
	clients, err := upstream.New(c.config())
	if err != nil {
		return err
	}
	defer clients.Close()
	return withStore(p.ctx, c.databaseFlags, func(s *store.Store) error {
		planner := reconcile.UndoPlanner{
			Findings: s.Findings, Providers: clients, Now: time.Now, Since: c.Since, Grace: c.Grace,
		}
		plan, err := planner.Plan(p.ctx)
		if err != nil {
			return err
		}
		out := undoOutput{
			DryRun: c.DryRun, Orders: len(plan.Orders), Totals: plan.Totals(), Held: plan.Held, UndoneBefore: plan.UndoneBefore,
		}
		for _, t := range out.Totals {
			out.Effects += t.Count
		}
		if c.DryRun {
			return c.print(p.stdout, out)
		}
		logger := c.logger(p.stderr)
		undoer := reconcile.Undoer{
			Findings: s.Findings, Providers: clients, Limiter: rate.NewLimiter(rate.Limit(c.Rate), 1), Reason: c.Reason,
			Actor: commandLine(), Logger: logger, Told: undoProgress(logger, len(plan.Orders)),
		}
		result, undoErr := undoer.Do(p.ctx, plan)
		out.Undone, out.Left, out.Held = result.Undone, result.Remained, append(out.Held, result.Held...)
		if err := c.print(p.stdout, out); err != nil || undoErr != nil {
			return errors.Join(err, undoErr)
		}
		if len(out.Held)+out.Left > 0 {
			return errLeft
		}
		return nil
	})
}

// undoProgress returns a function that logs the progress every few seconds. A short run logs nothing.
func undoProgress(logger *slog.Logger, of int) func(reconcile.UndoResult) {
	told := time.Now()
	return func(r reconcile.UndoResult) {
		if time.Since(told) >= tellEvery {
			told = time.Now()
			logger.Info("undoing", "orders", r.Orders, "of", of, "undone", r.Undone, "held", len(r.Held))
		}
	}
}

func (c *undoFindingsCommand) print(w io.Writer, out undoOutput) error {
	if c.JSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(out)
	}
	if len(out.Totals) > 0 {
		err := printTable(w, "PROVIDER\tEFFECT\tUNDONE BY\tCOUNT\tMONEY\tUNITS", func(w io.Writer) {
			for _, t := range out.Totals {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", t.Provider, t.Effect, orDash(string(t.Undo)), t.Count,
					orDash(money(t)), orDash(units(t)))
			}
		})
		if err != nil {
			return err
		}
	}
	byReason := map[string][]string{}
	for _, h := range out.Held {
		byReason[h.Reason] = append(byReason[h.Reason], h.Order)
	}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		list := byReason[reason]
		named := strings.Join(list[:min(len(list), namedOrders)], ", ")
		if len(list) > namedOrders {
			named += ", …"
		}
		fmt.Fprintf(w, "%d orders are held, %s: %s\n", len(list), reason, named)
	}
	if out.UndoneBefore > 0 {
		fmt.Fprintf(w, "%d orders were undone before\n", out.UndoneBefore)
	}
	if out.DryRun {
		_, err := fmt.Fprintf(w, "%d lost orders with %d effects would be undone; nothing was done\n",
			out.Orders, out.Effects)
		return err
	}
	_, err := fmt.Fprintf(w, "%d lost orders: %d effects undone, %d orders without an answer\n",
		out.Orders, out.Undone, out.Left)
	return err
}

// money lists what goes back, as in "12.00 EUR, 5.00 USD".
func money(t reconcile.UndoTotal) string {
	var list []string
	for _, currency := range slices.Sorted(maps.Keys(t.Money)) {
		list = append(list, fmt.Sprintf("%s %s", t.Money[currency], currency))
	}
	return strings.Join(list, ", ")
}

func units(t reconcile.UndoTotal) string {
	if t.Units == 0 {
		return ""
	}
	return strconv.FormatInt(t.Units, 10)
}
