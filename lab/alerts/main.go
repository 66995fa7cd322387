// Command alerts drills the alerts of deploy/prometheus. It brings about the cause of each beside a real Prometheus and
// a real Alertmanager, and looks whether the alert arrives, and clears once the cause is gone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	names := flag.String("drills", "", "names of the drills to run, by commas; all if empty")
	publish := flag.String("publish", "", "file into which the table is written, between its marks")
	list := flag.Bool("list", false, "list the drills")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *list {
		for _, d := range drills() {
			fmt.Printf("%-12s %s\n", d.name, strings.Join(d.alerts, ", "))
		}
		return
	}
	results, err := runDrills(ctx, *names)
	if len(results) > 0 {
		fmt.Print("\n" + table(results, ""))
	}
	if err == nil && *publish != "" {
		err = publishTable(*publish, results)
	}
	for _, r := range results {
		if r.err != nil || !r.noticed {
			err = errors.New("not all drills passed")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runDrills(ctx context.Context, names string) (results []result, err error) {
	rules, err := readRules("../../deploy/prometheus/millrace.rules.yaml")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "millrace-drills-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l := &lab{}
	if l.runbook, err = readRunbook("../../docs/runbook.md"); err != nil {
		return nil, err
	}
	binary, err := build(ctx, dir, "drill")
	if err != nil {
		return nil, err
	}
	if l.other, err = build(ctx, dir, "other"); err != nil {
		return nil, err
	}
	if l.hooks, err = newHooks(); err != nil {
		return nil, err
	}
	defer l.hooks.server.Close()
	if l.deployment, err = deploy(ctx, binary, dir); err != nil {
		return nil, err
	}
	defer l.deployment.stop()
	if l.monitor, err = watch(ctx, l.deployment, dir, rules); err != nil {
		return nil, err
	}
	defer l.monitor.stop()
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	go l.load(loading, 200*time.Millisecond)

	for _, d := range drills() {
		if names != "" && !slices.Contains(strings.Split(names, ","), d.name) {
			continue
		}
		fmt.Printf("%s: %s\n", d.name, d.cause)
		for _, r := range l.run(ctx, d) {
			fmt.Println("  " + r.String())
			results = append(results, r)
		}
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
	}
	return results, nil
}
