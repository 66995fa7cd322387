package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// runCommand makes all measurements.
type runCommand struct {
	common
	Docs    string `help:"Directory whose performance.md and performance.svg are written." type:"existingdir"`
	Results string `help:"Directory whose performance.json is written, with the raw values." type:"existingdir"`
}

// Run measures, prints the tables and stores them.
func (c *runCommand) Run(ctx context.Context) (err error) {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.results.Command = "make bench"
	if err := install(ctx, b.log, "redis-server", "rabbitmq-server"); err != nil {
		return err
	}
	for _, name := range []string{"redis-server", "rabbitmq-server"} {
		b.results.Machine.Versions[name] = firstLine(ctx, "dpkg-query", "-W", "-f", "${Version}", name)
	}
	redis, err := startRedis(ctx, b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Stop(syscall.SIGTERM, stopPatience)) }()
	if err := b.compare(ctx, redis); err != nil {
		return err
	}
	b.results.print(os.Stdout)
	if c.Results != "" {
		err = b.results.write(filepath.Join(c.Results, "performance.json"))
	}
	if c.Docs != "" {
		err = errors.Join(err, b.results.document(c.Docs))
	}
	return err
}

// compare measures part after part: rounds of all parts at once would run too many servers at a time.
func (b *bench) compare(ctx context.Context, redis *redisServer) error {
	for _, part := range []func() error{
		func() error { return b.measure(ctx, b.intake(intakeConnections())) },
		func() error { return b.compareGet(ctx, redis) },
		func() error { return b.compareWhole(ctx, redis) },
		func() error { return b.compareJobs(ctx) },
		func() error { return b.measure(ctx, b.freshnesses()) },
		func() error { return b.watch(ctx) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) compareJobs(ctx context.Context) error {
	node, err := b.installNode(ctx)
	if err != nil {
		return err
	}
	return b.measure(ctx, b.jobs(node))
}

func (b *bench) compareGet(ctx context.Context, redis *redisServer) error {
	g, err := b.openGet(ctx, redis)
	if err != nil {
		return err
	}
	return errors.Join(b.measure(ctx, g.measurements()), g.close())
}

func (b *bench) compareWhole(ctx context.Context, redis *redisServer) error {
	rabbit, err := startRabbit(ctx, b.dir)
	if err != nil {
		return err
	}
	all := append(b.wholeOrders(append(b.versions(),
		b.tracedContender(), b.millraceContender(millraceAlone), b.dbosContender(),
		b.rabbitContender(rabbitContender, rabbit, redis), b.rabbitContender(rabbitWithHistory, rabbit, redis),
	)), measurement{"whole orders, " + millraceReaders, func(ctx context.Context) error {
		return b.measureWhole(ctx, b.readersContender(), 0)
	}})
	if err := b.measure(ctx, append(all, b.lones()...)); err != nil {
		return errors.Join(err, rabbit.stop())
	}
	return errors.Join(rabbit.stop(), b.measure(ctx, b.cores()))
}

// watch makes the long measurements, once.
func (b *bench) watch(ctx context.Context) error {
	b.rounds = 1
	return b.measure(ctx, append([]measurement{{"steady load", b.measureSteady}, {"full load", b.measureFull}},
		b.snapshots()...))
}
