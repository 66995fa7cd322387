package main

import (
	"context"

	"github.com/millrace-orders/millrace/lab/bench/baseline"
)

// baselineCommands has the baselines as programs that the bench starts.
type baselineCommands struct {
	Plain plainCommand `cmd:""`
	Huma  humaCommand  `cmd:""`
	Redis redisCommand `cmd:""`

	HumaRedis humaRedisCommand `cmd:"" name:"huma-redis"`

	Rabbit rabbitCommand `cmd:""`
	DBOS   dbosCommand   `cmd:"" name:"dbos"`
	River  riverCommand  `cmd:""`
}

type body struct {
	Body []byte `required:"" type:"filecontent" help:"File with the order that every GET is answered with."`
}

type plainCommand struct{ body }

// Run answers until ctx ends.
func (c plainCommand) Run(ctx context.Context) error { return baseline.Plain(ctx, c.Body) }

type humaCommand struct{ body }

// Run answers until ctx ends.
func (c humaCommand) Run(ctx context.Context) error { return baseline.Huma(ctx, c.Body) }

type redisCommand struct {
	body
	Redis string `required:""`
}

// Run answers until ctx ends.
func (c redisCommand) Run(ctx context.Context) error { return baseline.Redis(ctx, c.Body, c.Redis) }

type humaRedisCommand struct {
	body
	Redis string `required:""`
}

// Run answers until ctx ends.
func (c humaRedisCommand) Run(ctx context.Context) error {
	return baseline.HumaRedis(ctx, c.Body, c.Redis)
}

type rabbitCommand struct {
	Database  string `required:""`
	Rabbit    string `required:""`
	Redis     string `required:""`
	Providers string `required:""`
	Record    bool
}

// Run works until ctx ends.
func (c rabbitCommand) Run(ctx context.Context) error {
	return baseline.Rabbit(ctx, baseline.RabbitConfig(c))
}

type dbosCommand struct {
	Database  string `required:""`
	Providers string `required:""`
}

// Run works until ctx ends.
func (c dbosCommand) Run(ctx context.Context) error {
	return baseline.DBOS(ctx, baseline.DBOSConfig(c))
}

type riverCommand struct {
	Database string `arg:""`
	Jobs     int    `arg:""`
}

// Run works until all jobs are done.
func (c riverCommand) Run(ctx context.Context) error { return baseline.River(ctx, c.Database, c.Jobs) }
