// Command bench measures Millrace and the usual alternatives on one Postgres, in one run. See docs/performance.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type commands struct {
	Run      runCommand       `cmd:"" help:"Measure everything, and write it down."`
	Smoke    smokeCommand     `cmd:"" help:"Measure a little, and fail if it is far from what it should be."`
	Growth   growthCommand    `cmd:"" help:"Compare a database with a million orders with one that is nearly empty."`
	Baseline baselineCommands `cmd:"" hidden:"" help:"What Millrace is compared with."`
}

// common has the settings of every run.
type common struct {
	Millrace string        `required:"" help:"The millrace binary." type:"existingfile"`
	Before   string        `help:"The binary of the version before, to measure beside it." type:"existingfile"`
	Rounds   int           `default:"5" help:"How often everything is measured."`
	Warmup   time.Duration `default:"500ms" help:"How long each load runs before it is measured."`
	Measured time.Duration `default:"3s" help:"How long each load is measured."`
	Whole    time.Duration `default:"8s" help:"For how long whole orders are placed."`
	Fresh    time.Duration `default:"10s" help:"For how long freshness is measured."`
	Steady   time.Duration `default:"60s" help:"For how long memory is watched, under each of two loads."`
	Only     string        `help:"Only measurements whose names match this regular expression."`
	Profiles string        `help:"Directory where CPU profiles of Millrace are put." type:"existingdir"`
}

func (c common) open(ctx context.Context) (*bench, error) {
	only, err := regexp.Compile(c.Only)
	if err != nil {
		return nil, err
	}
	b := &bench{
		log: os.Stderr, millrace: c.Millrace, before: c.Before, rounds: c.Rounds, span: span{c.Warmup, c.Measured},
		whole: c.Whole, fresh: c.Fresh, steady: c.Steady, only: only, profiles: c.Profiles,
	}
	return b, b.open(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(new(commands), kong.Name("bench"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := command.Run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
