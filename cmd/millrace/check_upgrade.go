package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace-orders/millrace/store"
)

var errDiffers = errors.New("this program would treat orders differently")

// checkUpgradeCommand replays orders with this program before it is rolled out. docs/deploy.md describes it.
type checkUpgradeCommand struct {
	databaseFlags `group:"Database"`
	logFlags      `group:"Logs"`
	Orders        int  `default:"10000" min:"0" max:"10000000" help:"Latest orders to replay, besides all open ones."`
	JSON          bool `name:"json" help:"Print JSON."`
}

// Validate reports all problems at once.
func (c *checkUpgradeCommand) Validate() error { return c.check() }

// Run prints what this program would have done differently. It fails if there is anything, and with errNotVerified if
// orders could not be compared.
func (c *checkUpgradeCommand) Run(p *process) error {
	found, err := c.compare(p)
	if err == nil && c.JSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(found)
	} else if err == nil {
		err = printUpgradeCheck(p.stdout, found)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotVerified, err)
	}
	if found.Differing > 0 {
		return errDiffers
	}
	return nil
}

// compare does not ask for the schema of this program: the new program may be tried before migrate, as long as the
// tables that it reads are as it knows them.
func (c *checkUpgradeCommand) compare(p *process) (found store.UpgradeCheck, err error) {
	pool, err := store.NewPool(p.ctx, c.DatabaseURL, "cli", 1)
	if err != nil {
		return found, err
	}
	defer pool.Close()
	s, err := store.New(store.Config{DB: pool})
	if err != nil {
		return found, err
	}
	found, err = s.Verifier.CheckUpgrade(p.ctx, store.UpgradeOptions{
		Latest: c.Orders, Progress: progress(c.logger(p.stderr), time.Now, "replaying"),
	})
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return found, err
	}
	if migrated, e := store.Migrated(p.ctx, pool); e == nil && !migrated {
		return found, fmt.Errorf("%w (%w)", errNotMigrated, err)
	}
	return found, err
}

func printUpgradeCheck(w io.Writer, c store.UpgradeCheck) error {
	for _, order := range c.Differences {
		fmt.Fprintf(w, "order %s, %s\n", order.OrderID, order.Status)
		for _, d := range order.Differences {
			fmt.Fprintf(w, "  - %s\n      stored:       %s\n      this program: %s\n", d.What, d.Stored, d.Made)
		}
	}
	if more := c.Differing - int64(len(c.Differences)); more > 0 {
		fmt.Fprintf(w, "and %d more orders\n", more)
	}
	if c.Pruned > 0 {
		fmt.Fprintf(w, "left out %d orders whose first events are pruned\n", c.Pruned)
	}
	_, err := fmt.Fprintf(w, "replayed %d orders and %d events in %.1f s: %d would differ\n", c.Orders, c.Events,
		c.DurationSeconds, c.Differing)
	return err
}
