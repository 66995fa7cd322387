// Command faults runs Millrace through the fault matrix of docs/reliability.md: real processes, real Postgres servers,
// a simulator of the providers with a ledger of its own, and proxies between all of them. Whatever fails, every
// accepted order must come to its end, and every step must happen exactly once.
//
//	go run . -rows F2,F7 -seed 42
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// config is the command line.
type config struct {
	rows    string
	seed    uint64
	full    bool
	lanes   int
	race    bool
	dir     string
	json    string
	publish string
	source  string
	overlay string
	settle  time.Duration
	logger  *slog.Logger
}

var errViolations = errors.New("the matrix does not hold")

func start(ctx context.Context, args []string) error {
	var c config
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.StringVar(&c.rows, "rows", "", "rows to run, by id; all of the selection if empty")
	flags.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()%1e9), "the seed of all schedules")
	flags.BoolVar(&c.full, "full", false, "every row at full length, instead of the selection for CI")
	flags.IntVar(&c.lanes, "lanes", 1, "how many rows run at a time")
	flags.BoolVar(&c.race, "race", false, "build millrace with the race detector")
	flags.StringVar(&c.dir, "dir", "", "where data and logs go; a temporary directory if empty")
	flags.StringVar(&c.json, "json", "", "file for the results")
	flags.StringVar(&c.publish, "publish", "", "document in which to replace the table")
	flags.StringVar(&c.source, "source", "../..", "the top of the repository")
	flags.StringVar(&c.overlay, "overlay", "", "build millrace with this overlay (go help build)")
	flags.DurationVar(&c.settle, "settle", 0, "how long everything may take to come to rest; 0: as the row says")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if c.dir == "" {
		dir, err := os.MkdirTemp("/tmp", "millrace-faults-") // a short path: the length of a socket's path is limited
		if err != nil {
			return err
		}
		defer os.Remove(dir) // fails if a row has left files in it
		c.dir = dir
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return err
	}
	registerToxics()
	return c.runAll(ctx)
}

func (c config) runAll(ctx context.Context) error {
	chosen, err := c.choose()
	if err != nil {
		return err
	}
	binary := filepath.Join(c.dir, "millrace")
	defer os.Remove(binary)
	if err := c.build(ctx, binary); err != nil {
		return err
	}
	began := time.Now()
	report := report{Version: version(ctx, c.source), Full: c.full, Command: c.command()}
	report.Rows = c.runRows(ctx, chosen, binary)
	report.Seconds = time.Since(began).Seconds()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.json != "" {
		if err := report.save(c.json); err != nil {
			return err
		}
	}
	if c.publish != "" {
		if err := report.publish(c.publish); err != nil {
			return err
		}
	}
	if count := report.explained(); count.Samples > 0 {
		fmt.Printf("explanations that came true: %s; the target is %.1f %%\n", count, 100*explainTruth)
	}
	failed := report.failed()
	if len(failed) == 0 {
		return nil
	}
	for _, row := range failed { // once more at the end: a long log is often cut at its beginning
		fmt.Print(row.lines())
	}
	return fmt.Errorf("%w: replay with SEED=%d", errViolations, c.seed)
}

// runRows runs rows in parallel lanes, and returns their results in the order of the rows. Each row has a deployment of
// its own. Most rows wait most of the time, so lanes help.
func (c config) runRows(ctx context.Context, chosen []row, binary string) []result {
	results := make([]result, len(chosen))
	next := make(chan int)
	var lanes sync.WaitGroup
	for range max(c.lanes, 1) {
		lanes.Go(func() {
			for i := range next {
				results[i] = execute(ctx, chosen[i], c, c.seed, binary)
				fmt.Print(results[i].lines())
			}
		})
	}
	for i := range chosen {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	lanes.Wait()
	return results
}

// choose returns the rows to run.
func (c config) choose() (chosen []row, err error) {
	all := rows()
	if c.rows == "" {
		return slices.DeleteFunc(all, func(w row) bool { return !c.full && !w.short }), nil
	}
	for id := range strings.SplitSeq(c.rows, ",") {
		i := slices.IndexFunc(all, func(w row) bool { return strings.EqualFold(w.id, id) })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %s", id)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// command returns the command that repeats this run.
func (c config) command() string {
	command := "make faults-short"
	if c.full {
		command = "make faults"
	}
	if c.rows != "" {
		command += " ROWS=" + c.rows
	}
	return fmt.Sprintf("%s SEED=%d", command, c.seed)
}

func (c config) build(ctx context.Context, binary string) error {
	args := []string{"build", "-o", binary}
	if c.overlay != "" {
		args = append(args, "-overlay", c.overlay)
	}
	if c.race {
		args = append(args, "-race")
	}
	command := exec.CommandContext(ctx, "go", append(args, "./cmd/millrace")...)
	command.Dir = c.source
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build millrace: %w\n%s", err, out)
	}
	return nil
}

func version(ctx context.Context, source string) string {
	command := exec.CommandContext(ctx, "git", "describe", "--tags", "--match", "v*", "--always", "--dirty")
	command.Dir = source
	out, err := command.Output()
	if err != nil {
		return "an unknown version"
	}
	return strings.TrimSpace(string(out))
}
