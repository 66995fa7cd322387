// Command millrace takes orders over HTTP and carries them to their end, on one Postgres. It is the only package
// that reads flags and the environment, and the place where everything is wired together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millrace-orders/millrace/failpoint"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx := untilSignal(signals, time.Now, func(s os.Signal) {
		fmt.Fprintln(os.Stderr, "millrace: a second signal: ending at once")
		os.Exit(128 + int(s.(syscall.Signal)))
	})
	err := hideSecrets()
	if err == nil {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
		os.Exit(exitStatus(err))
	}
}

// exitStatus is 1, but 2 where 1 is an answer: after verify it says that something is wrong, so a setting that is
// wrong must not look like it.
func exitStatus(err error) int {
	if _, wrong := errors.AsType[settingsError](err); wrong || errors.Is(err, errNotVerified) {
		return 2
	}
	return 1
}

// commands is the command line. Each command is a struct with its settings and a Run method.
type commands struct {
	Dev      devCommand      `cmd:"" help:"Run everything on this machine: Postgres, simulators, API and workers."`
	Serve    serveCommand    `cmd:"" help:"Run the API and the workers."`
	API      apiCommand      `cmd:"" name:"api" help:"Run the API alone."`
	Work     workCommand     `cmd:"" help:"Run the workers alone."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database schema up to date."`
	Verify   verifyCommand   `cmd:"" help:"Check that nothing is lost, doubled or stuck."`
	Findings findingsCommand `cmd:"" help:"List and close what reconciliation with the providers found."`
	Keys     keysCommand     `cmd:"" help:"Make, list and revoke API keys."`
	Audit    auditCommand    `cmd:"" help:"Show what operators did, newest first."`
	Simulate simulateCommand `cmd:"" help:"Run the four provider simulators."`
	OpenAPI  openAPICommand  `cmd:"" name:"openapi" help:"Print the OpenAPI document."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	Failpoints string `env:"MILLRACE_FAILPOINTS" hidden:"" help:"Where this process is to crash or pause, for tests: see package failpoint."`
}

// process is what every command gets from the outside.
type process struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

var errExited = errors.New("exited") // --help: kong has printed and wants to exit

func newParser(c *commands, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(c, kong.Name("millrace"), kong.Writers(stdout, stderr),
		kong.Description("Order processing on one Postgres."), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"default_data": defaultData()}, kong.Exit(func(int) { panic(errExited) }),
		kong.Resolvers(kong.ResolverFunc(secretFiles)), kong.WithBeforeResolve(oneSource))
}

// run parses args and runs the command they name until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c := new(commands)
	command, err := func() (command *kong.Context, err error) {
		defer func() {
			if v := recover(); v != nil && v != any(errExited) {
				panic(v)
			}
		}()
		return parse(func() (*kong.Kong, error) {
			*c = commands{}
			return newParser(c, stdout, stderr)
		}, args)
	}()
	if err != nil || command == nil {
		return err
	}
	if err := failpoint.Arm(c.Failpoints); err != nil {
		return err
	}
	return command.Run(&process{ctx, stdout, stderr})
}

// logFlags says what to log.
type logFlags struct {
	LogLevel  slog.Level `env:"MILLRACE_LOG_LEVEL" default:"INFO" help:"DEBUG, INFO, WARN or ERROR."`
	LogFormat logFormat  `env:"MILLRACE_LOG_FORMAT" default:"json" help:"json or text."`
}

type logFormat string

// UnmarshalText accepts the two formats.
func (f *logFormat) UnmarshalText(text []byte) error {
	if *f = logFormat(text); *f != "json" && *f != "text" {
		return fmt.Errorf("must be json or text, not %q", text)
	}
	return nil
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

type versionCommand struct{}

// Run prints the version, and what the binary was built with.
func (versionCommand) Run(p *process) error {
	goVersion := "unknown Go"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
	}
	_, err := fmt.Fprintf(p.stdout, "millrace %s (%s)\n", version, goVersion)
	return err
}
