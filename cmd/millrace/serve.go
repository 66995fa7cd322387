package main

import (
	"errors"
	"fmt"

	"github.com/millrace-orders/millrace/store"
)

// serveCommand runs the API and the workers in one process.
type serveCommand struct {
	databaseFlags
	connectionFlags
	apiFlags
	rateFlags
	webhookFlags
	workFlags
	opsFlags
	securityFlags
	providerFlags
	logFlags
}

// Validate reports all problems at once.
func (c *serveCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.connectionFlags.check(), c.apiFlags.check(c.limits(c.RateLimit)),
		c.workFlags.check(), c.providerFlags.check(), c.securityFlags.check())
}

// Run serves until the process is told to stop.
func (c *serveCommand) Run(p *process) error {
	return runNode(p, nodeConfig{
		database: c.databaseFlags, connections: c.connectionFlags, api: &c.apiFlags,
		limits: c.limits(c.RateLimit), work: &c.workFlags, ops: c.opsFlags, webhooks: c.webhookFlags,
		security: c.securityFlags, providers: c.providerFlags, log: c.logFlags,
	}, nil)
}

// apiCommand runs the API alone.
type apiCommand struct {
	databaseFlags
	connectionFlags
	apiFlags
	rateFlags
	webhookFlags
	opsFlags
	securityFlags
	logFlags
}

// Validate reports all problems at once.
func (c *apiCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.connectionFlags.check(), c.apiFlags.check(c.limits(c.RateLimit)),
		c.securityFlags.check())
}

// Run serves until the process is told to stop.
func (c *apiCommand) Run(p *process) error {
	return runNode(p, nodeConfig{
		database: c.databaseFlags, connections: c.connectionFlags, api: &c.apiFlags,
		limits: c.limits(c.RateLimit), ops: c.opsFlags, webhooks: c.webhookFlags, security: c.securityFlags, log: c.logFlags,
	}, nil)
}

// workCommand runs the workers alone.
type workCommand struct {
	databaseFlags
	connectionFlags
	workFlags
	webhookFlags
	opsFlags
	securityFlags
	providerFlags
	logFlags
}

// Validate reports all problems at once.
func (c *workCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.connectionFlags.check(), c.workFlags.check(), c.providerFlags.check(),
		c.securityFlags.check())
}

// Run works until the process is told to stop.
func (c *workCommand) Run(p *process) error {
	return runNode(p, nodeConfig{
		database: c.databaseFlags, connections: c.connectionFlags, work: &c.workFlags, ops: c.opsFlags,
		webhooks: c.webhookFlags,
		security: c.securityFlags, providers: c.providerFlags, log: c.logFlags,
	}, nil)
}

// migrateCommand brings the schema up to date and ends.
type migrateCommand struct {
	databaseFlags
	logFlags

	Grant []string `help:"Role that serve uses, which does not own the tables: it is given what serve needs. May be repeated." placeholder:"ROLE" sep:"none"`
}

// Validate reports all problems at once.
func (c *migrateCommand) Validate() error { return c.check() }

// Run migrates. Any number of processes may do it at the same time.
func (c *migrateCommand) Run(p *process) error {
	pool, err := store.NewMigrationPool(p.ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := store.Migrate(p.ctx, pool, c.logger(p.stderr), c.Grant...); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "the schema is up to date")
	return err
}
