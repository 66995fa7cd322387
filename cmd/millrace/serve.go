package main

import "errors"

// serveCommand runs the API and the workers in one process.
type serveCommand struct {
	databaseFlags   `group:"Database"`
	listenFlags     `group:"Database"`
	replicaFlags    `group:"Database"`
	connectionFlags `group:"Database"`
	apiFlags        `group:"API"`
	rateFlags       `group:"Limits"`
	webhookFlags    `group:"Webhooks"`
	workFlags       `group:"Workers"`
	opsFlags        `group:"Operations"`
	platformFlags   `group:"Operations"`
	securityFlags   `group:"Access"`
	providerFlags   `group:"Providers"`
	logFlags        `group:"Logs"`
}

// Validate reports all problems at once.
func (c *serveCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.listenFlags.check(), c.replicaFlags.check(), c.providerFlags.check(),
		c.securityFlags.check(), c.platformFlags.check(), c.workFlags.check())
}

// Run serves until the process is told to stop.
func (c *serveCommand) Run(p *process) error { return runNode(p, c.config(), nil) }

func (c *serveCommand) config() nodeConfig {
	return nodeConfig{
		database: c.databaseFlags, listen: c.listenFlags, replicas: c.replicaFlags, connections: c.connectionFlags,
		api:    &c.apiFlags,
		limits: c.limits(c.RateLimit), work: &c.workFlags, ops: c.opsFlags, platform: c.platformFlags,
		webhooks: c.webhookFlags, security: c.securityFlags, providers: c.providerFlags, log: c.logFlags,
	}
}

// apiCommand runs the API alone.
type apiCommand struct {
	databaseFlags   `group:"Database"`
	listenFlags     `group:"Database"`
	replicaFlags    `group:"Database"`
	connectionFlags `group:"Database"`
	apiFlags        `group:"API"`
	rateFlags       `group:"Limits"`
	webhookFlags    `group:"Webhooks"`
	opsFlags        `group:"Operations"`
	platformFlags   `group:"Operations"`
	securityFlags   `group:"Access"`
	logFlags        `group:"Logs"`
}

// Validate reports all problems at once.
func (c *apiCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.listenFlags.check(), c.replicaFlags.check(), c.securityFlags.check(),
		c.platformFlags.check())
}

// Run serves until the process is told to stop.
func (c *apiCommand) Run(p *process) error { return runNode(p, c.config(), nil) }

func (c *apiCommand) config() nodeConfig {
	return nodeConfig{
		database: c.databaseFlags, listen: c.listenFlags, replicas: c.replicaFlags, connections: c.connectionFlags,
		api:    &c.apiFlags,
		limits: c.limits(c.RateLimit), ops: c.opsFlags, platform: c.platformFlags, webhooks: c.webhookFlags,
		security: c.securityFlags, log: c.logFlags,
	}
}

// workCommand runs the workers alone.
type workCommand struct {
	databaseFlags   `group:"Database"`
	listenFlags     `group:"Database"`
	connectionFlags `group:"Database"`
	workFlags       `group:"Workers"`
	webhookFlags    `group:"Webhooks"`
	opsFlags        `group:"Operations"`
	platformFlags   `group:"Operations"`
	securityFlags   `group:"Access"`
	providerFlags   `group:"Providers"`
	logFlags        `group:"Logs"`
}

// Validate reports all problems at once.
func (c *workCommand) Validate() error {
	return errors.Join(c.databaseFlags.check(), c.listenFlags.check(), c.providerFlags.check(),
		c.securityFlags.check(), c.platformFlags.check(), c.workFlags.check())
}

// Run works until the process is told to stop.
func (c *workCommand) Run(p *process) error { return runNode(p, c.config(), nil) }

func (c *workCommand) config() nodeConfig {
	return nodeConfig{
		database: c.databaseFlags, listen: c.listenFlags, connections: c.connectionFlags,
		work: &c.workFlags, ops: c.opsFlags,
		platform: c.platformFlags, webhooks: c.webhookFlags, security: c.securityFlags, providers: c.providerFlags,
		log: c.logFlags,
	}
}
