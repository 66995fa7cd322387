package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/api"
)

// lanesCommand pauses the lanes of providers, over the API.
type lanesCommand struct {
	List   listLanesCommand  `cmd:"" help:"List the lanes of the providers."`
	Pause  pauseLaneCommand  `cmd:"" help:"Take no jobs of a provider for a while, in every process within two seconds."`
	Resume resumeLaneCommand `cmd:"" help:"End the pause of a lane now."`
}

type listLanesCommand struct{ remoteFlags }

// Run prints a table.
func (c *listLanesCommand) Run(p *process) error {
	var lanes api.Lanes
	return c.call(p, http.MethodGet, "/api/system/lanes", nil, &lanes, func() error { return printLanes(p, lanes.Lanes) })
}

// pullFlags say why and for how long an operator pulls a lever.
type pullFlags struct {
	Reason string        `required:"" help:"The reason, in one line. Callers of a stopped intake read it."`
	For    time.Duration `default:"1h" min:"1s" max:"7d" help:"Time until it ends by itself."`
}

func (f pullFlags) body() api.Lever {
	return api.Lever{Reason: f.Reason, Until: new(time.Now().Add(f.For).UTC())}
}

type pauseLaneCommand struct {
	remoteFlags
	pullFlags
	Lane string `arg:"" enum:"payment,inventory,shipping,email" help:"Lane to pause: payment, inventory, shipping or email."`
}

// Run prints the lane.
func (c *pauseLaneCommand) Run(p *process) error {
	var lane api.Lane
	return c.call(p, http.MethodPost, "/api/system/lanes/"+c.Lane+"/pause", c.body(), &lane, func() error {
		return printLanes(p, []api.Lane{lane})
	})
}

type resumeLaneCommand struct {
	remoteFlags
	Lane string `arg:"" enum:"payment,inventory,shipping,email" help:"Lane to resume: payment, inventory, shipping or email."`
}

// Run prints the lane.
func (c *resumeLaneCommand) Run(p *process) error {
	var lane api.Lane
	return c.call(p, http.MethodPost, "/api/system/lanes/"+c.Lane+"/resume", nil, &lane, func() error {
		return printLanes(p, []api.Lane{lane})
	})
}

func printLanes(p *process, lanes []api.Lane) error {
	return printTable(p.stdout, "LANE\tSTATE\tUNTIL\tWAITING\tRUNNING\tBY\tREASON", func(w io.Writer) {
		for _, lane := range lanes {
			state, until, by, reason, waiting, running := "open", "-", "-", "-", "-", "-"
			if lane.Paused {
				state = "paused"
			}
			if pause := lane.Pause; pause != nil {
				until, by, reason = at(pause.Until), pause.By, pause.Reason
			} else if lane.Paused {
				reason = "paused in River UI"
			}
			if q := lane.Queue; q != nil {
				waiting = strconv.FormatInt(q.Available+q.Scheduled+q.Retryable, 10)
				running = strconv.FormatInt(q.Running, 10)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", lane.Lane, state, until, waiting, running, by, reason)
		}
	})
}

// intakeCommand stops and starts the intake of orders, over the API.
type intakeCommand struct {
	Show  showIntakeCommand  `cmd:"" help:"Show whether orders are taken."`
	Stop  stopIntakeCommand  `cmd:"" help:"Take no orders for a while, in every process within two seconds. Accepted orders go on."`
	Start startIntakeCommand `cmd:"" help:"Take orders again now."`
}

const intakePath = "/api/system/intake"

type showIntakeCommand struct{ remoteFlags }

// Run prints a line.
func (c *showIntakeCommand) Run(p *process) error {
	var intake api.Intake
	return c.call(p, http.MethodGet, intakePath, nil, &intake, func() error { return printIntake(p, intake) })
}

type stopIntakeCommand struct {
	remoteFlags
	pullFlags
}

// Run prints a line.
func (c *stopIntakeCommand) Run(p *process) error {
	var intake api.Intake
	return c.call(p, http.MethodPost, intakePath+"/stop", c.body(), &intake, func() error {
		return printIntake(p, intake)
	})
}

type startIntakeCommand struct{ remoteFlags }

// Run prints a line.
func (c *startIntakeCommand) Run(p *process) error {
	var intake api.Intake
	return c.call(p, http.MethodPost, intakePath+"/start", nil, &intake, func() error { return printIntake(p, intake) })
}

func printIntake(p *process, intake api.Intake) error {
	text := "orders are taken"
	if stop := intake.Stop; stop != nil {
		text = fmt.Sprintf("no orders are taken until %s: %s (%s)", at(stop.Until), stop.Reason, stop.By)
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}
