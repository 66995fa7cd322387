package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Marks between which the table is written.
const (
	tableBegin = "<!-- failovers: begin -->"
	tableEnd   = "<!-- failovers: end -->"
)

// report is what a run found.
type report struct {
	machine string
	results []result
	orders  int
	checked bool // whether wrong has all that is wrong
	wrong   []string
}

func (r result) String() string {
	return fmt.Sprintf("%s: promoted after %s s, serving %s s later, last refusal %s s later, carried %s s later, "+
		"three nodes after %s s, rewound: %t, lost: %d", r.fault, seconds(r.promoted), seconds(r.serving),
		seconds(r.settled), seconds(r.carried), seconds(r.whole), r.rewound, r.lost)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// judge returns an error if something was lost or doubled, or took too long.
func (r report) judge() error {
	var errs []error
	for _, f := range r.results {
		if f.lost > 0 {
			errs = append(errs, fmt.Errorf("%s: %d accepted orders were lost", f.fault, f.lost))
		}
	}
	for _, w := range r.wrong[:min(len(r.wrong), 20)] {
		errs = append(errs, errors.New(w))
	}
	if p99 := quantile(r.results, 0.99, func(f result) time.Duration { return f.serving }); p99 > target {
		errs = append(errs, fmt.Errorf("serving again takes %s s at p99, and at most %s s are wanted", seconds(p99),
			seconds(target)))
	}
	return errors.Join(errs...)
}

// quantile returns the smallest value that the share q of the results does not exceed.
func quantile(results []result, q float64, of func(result) time.Duration) time.Duration {
	values := make([]time.Duration, 0, len(results))
	for _, r := range results {
		values = append(values, of(r))
	}
	slices.Sort(values)
	at := int(q*float64(len(values)) + 0.999999)
	return values[min(max(at, 1), len(values))-1]
}

// table returns the results as Markdown: a row for each fault, and one for all.
func (r report) table() string {
	lines := []string{
		r.machine + fmt.Sprintf("; %d failovers under load, %d orders:", len(r.results), r.orders), "",
		"| fault | times | promoted after | serving again | last refusal | carrying again | three nodes again | pg_rewind " +
			"| lost |",
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
	}
	for _, f := range faults() {
		var of []result
		for _, one := range r.results {
			if one.fault == f.name {
				of = append(of, one)
			}
		}
		if len(of) > 0 {
			lines = append(lines, row(f.name, of))
		}
	}
	lines = append(lines, row("**all**", r.results), "")
	switch {
	case !r.checked:
		lines = append(lines, "The run ended before the orders were checked.")
	case len(r.wrong) > 0:
		lines = append(lines, fmt.Sprintf("%d findings.", len(r.wrong)))
	default:
		lines = append(lines, "No order was lost, doubled, paid twice or shipped twice, and `millrace verify --deep` found "+
			"nothing.")
	}
	return strings.Join(lines, "\n") + "\n"
}

func row(name string, of []result) string {
	span := func(value func(result) time.Duration) string {
		return seconds(quantile(of, 0.5, value)) + " / " + seconds(quantile(of, 0.99, value))
	}
	rewound, lost := 0, 0
	for _, r := range of {
		lost += r.lost
		if r.rewound {
			rewound++
		}
	}
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s | %s | %d | %d |", name, len(of),
		span(func(r result) time.Duration { return r.promoted }), span(func(r result) time.Duration { return r.serving }),
		span(func(r result) time.Duration { return r.settled }), span(func(r result) time.Duration { return r.carried }),
		span(func(r result) time.Duration { return r.whole }), rewound, lost)
}

// describe returns the machine and the versions of what ran on it.
func describe(ctx context.Context, patroni string) string {
	model := runtime.GOARCH
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	version := func(program string, args ...string) string {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "PYTHONPATH=" + patroni + "/lib/python3/dist-packages"}
		out, _ := cmd.Output()
		first, _, _ := strings.Cut(string(out), "\n")
		return strings.TrimSpace(first)
	}
	return fmt.Sprintf("%d processors (%s); %s, %s, %s", runtime.NumCPU(), model,
		version("/usr/bin/python3", patroni+"/bin/patroni", "--version"),
		strings.ReplaceAll(version(patroni+"/bin/etcd", "--version"), "Version: ", ""),
		version("/usr/lib/postgresql/15/bin/postgres", "--version"))
}

// publish writes the table between the marks of a file.
func (r report) publish(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	_, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s", path, tableBegin)
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n\n"+r.table()+"\n"+tableEnd+after), 0o644)
}
