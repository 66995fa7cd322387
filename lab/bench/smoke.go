package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// smokeCommand is for CI: a few measurements of everything that needs only Postgres. The margins are so wide that a
// busy machine passes, and a lost batch, a lost cache or a leak does not.
type smokeCommand struct {
	common
}

// Run fails with every ratio that is out of its bounds.
func (c *smokeCommand) Run(ctx context.Context) (err error) {
	b, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	g, err := b.openGet(ctx, nil)
	if err != nil {
		return err
	}
	all := append(b.intake([]int{1, 64}), g.measurements()...)
	if err := errors.Join(b.measure(ctx, all), g.close()); err != nil {
		return err
	}
	b.results.print(os.Stdout)
	return b.results.smoke()
}

// smoke checks the ratios that hold on any machine, however busy.
func (r *results) smoke() error {
	at64, at1, gets := connectionsLabel(64), connectionsLabel(1), connectionsLabel(getConnections)
	var failed []error
	for _, ratio := range []ratio{
		{
			"intake with 64 connections, against a transaction each",
			point{intakeSection, millrace, at64, rate},
			point{intakeSection, millraceAlone, at64, rate},
			1.5,
		},
		{
			"intake with one connection, against a transaction each",
			point{intakeSection, millrace, at1, rate},
			point{intakeSection, millraceAlone, at1, rate},
			0.6,
		},
		{
			"intake with 64 connections, against bare inserts",
			point{intakeSection, millrace, at64, rate},
			point{intakeSection, bareInsert, at64, rate},
			0.15,
		},
		{
			"commits for each order, a transaction each, against shared ones",
			point{intakeSection, millraceAlone, at64, commits},
			point{intakeSection, millrace, at64, commits},
			4,
		},
		{
			"cached GET, against a bare Huma handler",
			point{getSection, millrace, gets, rate},
			point{getSection, humaHandler, gets, rate},
			0.3,
		},
	} {
		if got := ratio.of(r); got < ratio.least {
			failed = append(failed, fmt.Errorf("%s: %.2f, which should be at least %.2f", ratio.what, got, ratio.least))
		}
	}
	return errors.Join(failed...)
}
