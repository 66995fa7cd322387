package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store"
)

// migrateCommand brings the schema up to date and ends.
type migrateCommand struct {
	databaseFlags `group:"Database"`
	listenFlags   `group:"Database"`
	logFlags      `group:"Logs"`

	Wait   time.Duration `default:"10m" min:"1s" help:"How long to wait for another migration."`
	Grant  []string      `help:"Database role of serve that does not own the tables: migrate grants it what serve needs. May be repeated." placeholder:"ROLE" sep:"none"`
	Status bool          `help:"List the migrations and change nothing. The exit status is 1 if some are pending."`
	DryRun bool          `help:"Print the statements of the pending migrations and change nothing."`

	Restored bool `help:"Say that the database was just restored from a backup: readers' cursors from before are refused from now on."`
}

var errPending = errors.New("migrations are pending: run millrace migrate")

// Validate reports all problems at once.
func (c *migrateCommand) Validate() error {
	problems := errors.Join(c.databaseFlags.check(), c.listenFlags.check())
	if c.Status && c.DryRun {
		return errors.Join(problems, errors.New("--status and --dry-run exclude each other"))
	}
	if c.Restored && (c.Status || c.DryRun) {
		problems = errors.Join(problems, errors.New("--restored changes the database: leave out --status and --dry-run"))
	}
	return problems
}

// Run migrates. Any number of processes may do it at the same time.
func (c *migrateCommand) Run(p *process) error {
	pool, err := store.NewMigrationPool(p.ctx, cmp.Or(c.ListenURL, c.DatabaseURL))
	if err != nil {
		return err
	}
	defer pool.Close()
	switch {
	case c.Status:
		return c.status(p, pool)
	case c.DryRun:
		return c.dryRun(p, pool)
	}
	config := store.MigrateConfig{Logger: c.logger(p.stderr), Grantees: c.Grant, Wait: c.Wait}
	if c.Restored {
		config.Restored = new(commandLine())
	}
	if err := store.MigrateWith(p.ctx, pool, config); err != nil {
		return err
	}
	text := "the schema is up to date"
	if c.Restored {
		text += ", and the log has begun a new history"
	}
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}

func (c *migrateCommand) status(p *process, pool *pgxpool.Pool) error {
	all, err := store.Migrations(p.ctx, pool)
	if err != nil {
		return err
	}
	pending := 0
	err = printTable(p.stdout, "SCHEMA\tVERSION\tNAME\tAPPLIED", func(w io.Writer) {
		for _, m := range all {
			applied := "yes"
			switch {
			case !m.Applied:
				applied = "pending"
				pending++
			case !m.AppliedAt.IsZero():
				applied = at(m.AppliedAt)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", m.Schema, m.Version, orDash(m.Name), applied)
		}
	})
	if err == nil && pending > 0 {
		err = fmt.Errorf("%d %w", pending, errPending)
	}
	return err
}

func (c *migrateCommand) dryRun(p *process, pool *pgxpool.Pool) error {
	all, err := store.Migrations(p.ctx, pool)
	if err != nil {
		return err
	}
	pending := 0
	for _, m := range all {
		if m.Applied {
			continue
		}
		pending++
		if _, err := fmt.Fprintf(p.stdout, "-- %s, version %d: %s\n\n%s\n", m.Schema, m.Version, m.Name, m.SQL); err != nil {
			return err
		}
	}
	if pending == 0 {
		_, err = fmt.Fprintln(p.stdout, "-- no migration is pending")
	}
	return err
}
