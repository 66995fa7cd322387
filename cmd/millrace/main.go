// Command millrace takes orders over HTTP and carries them out, on one Postgres. It is the only package that reads
// flags and the environment, and it wires everything together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx := untilSignal(signals, time.Now, func(s os.Signal) {
		fmt.Fprintln(os.Stderr, "millrace: second signal, ending at once")
		os.Exit(128 + int(s.(syscall.Signal)))
	})
	err := hideSecrets()
	if err == nil {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
		fmt.Fprint(os.Stderr, advice(err))
		os.Exit(exitStatus(err))
	}
}

// advice returns a line of advice for an error; empty if there is none.
func advice(err error) string {
	if wrong, ok := errors.AsType[settingsError](err); ok {
		return fmt.Sprintf("See \"%s --help\".\n", wrong.command)
	}
	if errors.Is(err, store.ErrUnavailable) {
		return "Is the database up, and is DATABASE_URL or --database-url right?\n"
	}
	return ""
}

// exitStatus is 1 for an error in general. It is 2 for a wrong setting and for a verification or an examination that
// could not be done: after verify, 1 means that invariants are violated, after check-upgrade that orders differ, and
// after doctor that checks failed. It is 3 for a call that the API refused, because a script may repeat a command after
// 1 but not after 3.
func exitStatus(err error) int {
	_, wrong := errors.AsType[settingsError](err)
	switch {
	case wrong || errors.Is(err, errNotVerified) || errors.Is(err, errNotExamined):
		return 2
	case refused(err):
		return 3
	}
	return 1
}

// commands is the command line. Each command is a struct with its settings and a Run method.
type commands struct {
	global

	Dev      devCommand      `cmd:"" group:"Start" help:"Run everything on this machine: Postgres, simulators, API and workers."`
	Serve    serveCommand    `cmd:"" group:"Start" help:"Run the API and the workers."`
	API      apiCommand      `cmd:"" group:"Start" name:"api" help:"Run only the API."`
	Work     workCommand     `cmd:"" group:"Start" help:"Run only the workers."`
	Simulate simulateCommand `cmd:"" group:"Start" help:"Run the four provider simulators."`

	Migrate   migrateCommand   `cmd:"" group:"Operate" help:"Bring the database schema up to date."`
	Doctor    doctorCommand    `cmd:"" group:"Operate" help:"Check the database and the providers before going live."`
	Verify    verifyCommand    `cmd:"" group:"Operate" help:"Check that nothing is lost, doubled or stuck."`
	Findings  findingsCommand  `cmd:"" group:"Operate" help:"List, accept and undo differences between the providers' records and the orders."`
	Customers customersCommand `cmd:"" group:"Operate" help:"Forget a customer."`
	Keys      keysCommand      `cmd:"" group:"Operate" help:"Create, list and revoke API keys."`
	Audit     auditCommand     `cmd:"" group:"Operate" help:"Show the operators' actions, newest first."`
	Orders    ordersCommand    `cmd:"" group:"Operate" help:"Show, list, cancel, settle and explain orders."`
	Events    eventsCommand    `cmd:"" group:"Operate" help:"Follow the events of orders."`
	Explain   explainCommand   `cmd:"" group:"Operate" help:"Say where an order stands, why, and what happens next."`
	Lanes     lanesCommand     `cmd:"" group:"Operate" help:"List, pause and resume the lanes of the providers."`
	Intake    intakeCommand    `cmd:"" group:"Operate" help:"Stop and start the intake of orders."`
	Health    healthCommand    `cmd:"" group:"Operate" help:"Ask a process whether it is ready, as a health check."`

	CheckUpgrade checkUpgradeCommand `cmd:"" group:"Operate" name:"check-upgrade" help:"Replay orders with this program and list what would differ."`

	OpenAPI    openAPICommand    `cmd:"" group:"Print" name:"openapi" help:"Print the OpenAPI document."`
	Completion completionCommand `cmd:"" group:"Print" help:"Print the completion script of a shell."`
	Version    versionCommand    `cmd:"" group:"Print" help:"Print the version."`
	Help       helpCommand       `cmd:"" group:"Print" help:"Print the help of a command."`
}

// global has the settings that all commands have in common.
type global struct {
	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
	Failpoints   string           `env:"MILLRACE_FAILPOINTS" hidden:"" help:"Points where this process crashes, panics or pauses, for tests: see package failpoint."`
}

// process is the environment of every command.
type process struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	args   []string // the command line
}

var errExited = errors.New("exited") // --help and --version: kong has printed and asks to exit

// newParser makes a parser of the command that args name, or of all commands if they name none.
func newParser(c *commands, args []string, stdout, stderr io.Writer) (*kong.Kong, *problems, error) {
	p := &problems{
		line: map[*kong.Value]error{}, env: map[*kong.Value]error{}, file: map[*kong.Value]error{},
		resolved: map[*kong.Value]bool{},
	}
	options := append(c.grammar(args), kong.Name("millrace"), kong.Writers(stdout, stderr),
		kong.Description("Order processing on one Postgres."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}), kong.ValueFormatter(describe),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(durations)), kong.PostBuild(dress),
		kong.Vars{"default_data": defaultData(), "version": versionText()}, kong.Exit(func(int) { panic(errExited) }),
		kong.Resolvers(kong.ResolverFunc(p.settingsIn), kong.ResolverFunc(p.secretFiles)), kong.PostBuild(p.relax))
	parser, err := kong.New(&c.global, options...)
	return parser, p, err
}

// run parses args and runs the command until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "help" { // "help serve" is "serve --help"
		args = append(slices.Clip(args[1:]), "--help")
	}
	c := new(commands)
	command, err := parseOrPrint(c, args, stdout, stderr)
	if errors.Is(err, errNoCommand) {
		command, err = parseOrPrint(c, append(slices.Clip(args), "--help"), stdout, stderr)
	}
	if err != nil || command == nil {
		return err
	}
	if err := failpoint.Arm(c.Failpoints); err != nil {
		return err
	}
	return command.Run(&process{ctx, stdout, stderr, args})
}

// parseOrPrint returns the command of args; nil if they ask for help or the version.
func parseOrPrint(c *commands, args []string, stdout, stderr io.Writer) (command *kong.Context, err error) {
	defer func() {
		if v := recover(); v != nil && v != any(errExited) {
			panic(v)
		}
	}()
	return parse(func() (*kong.Kong, *problems, error) {
		*c = commands{}
		return newParser(c, args, stdout, stderr)
	}, args)
}

func (f logFlags) logger(w io.Writer) *slog.Logger { return f.loggerAt(w, f.LogLevel) }

// loggerAt makes a logger whose level may change.
func (f logFlags) loggerAt(w io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "text" || f.LogFormat == "auto" && isTerminal(w) {
		return slog.New(trace.Handler{Handler: slog.NewTextHandler(w, options)})
	}
	return slog.New(trace.Handler{Handler: slog.NewJSONHandler(w, options)})
}

type versionCommand struct{}

// Run prints the version, and the Go version of the build.
func (versionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, versionText())
	return err
}

func versionText() string {
	goVersion := "unknown Go"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	return fmt.Sprintf("millrace %s (%s)", version, goVersion)
}
