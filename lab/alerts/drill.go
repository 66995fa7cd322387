package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	firePatience  = 100 * time.Second
	clearPatience = 4*time.Minute + 30*time.Second // six hours, shortened, and what the machine needs
	lesserGrace   = 3 * time.Second
)

// drill has a cause bring about alerts.
type drill struct {
	name   string
	cause  string
	alerts []string
	inject func(context.Context, *lab) error
	undo   func(context.Context, *lab) error
	passed bool // the cause is gone when inject returns, or its alert looks back at a window
	// shows is what the board shows of the cause, as a pattern, by alert. The default is the alert's name, which a reason
	// to look closer has as its section of the runbook.
	shows map[string]string
	// notices is how long Millrace needs to notice the cause; see lookout.
	notices time.Duration
}

func (d drill) shown(alert string) string { return cmp.Or(d.shows[alert], alert+`\b`) }

// lab is what a drill works with.
type lab struct {
	*deployment
	*monitor

	since   time.Time // when the drill began
	runbook map[string]section
	extra   *node     // a process that a drill has added
	end     []func()  // of what a drill holds
	other   string    // a program of another version
	hooks   *receiver // of webhooks
}

// result is what was seen of one alert.
type result struct {
	alert, cause string
	fire, clear  time.Duration // from the injection, and from its end
	board        time.Duration // from the injection until the board showed it
	noticed      bool          // without the rule nothing fired
	commands     int           // of the runbook, which ran
	err          error
}

func (l *lab) run(ctx context.Context, d drill) (results []result) {
	fail := func(err error) []result {
		for _, alert := range d.alerts {
			results = append(results, result{alert: alert, cause: d.cause, err: err})
		}
		return results
	}
	if err := l.take(ctx, d.alerts...); err != nil {
		return fail(err)
	}
	quiet := func() bool {
		for _, alert := range d.alerts {
			if slices.Contains(l.firing(), alert) {
				return false
			}
		}
		return true
	}
	if !launch.Eventually(ctx, clearPatience, quiet) {
		return fail(errors.New("it fired before the cause was there"))
	}
	if err := launch.Pause(ctx, lesserGrace); err != nil { // the reloaded rules resolve what they lack
		return fail(err)
	}
	board, err := l.lookOut(ctx, d)
	if err != nil {
		return fail(err)
	}
	defer board.end()
	l.since = time.Now()
	err = d.inject(ctx, l)
	if err == nil {
		err = l.awaitFired(ctx, d.alerts...)
	}
	if err == nil {
		err = l.awaitShown(ctx, d, board)
	}
	var commands map[string]int
	if err == nil {
		commands, err = l.look(ctx, d.alerts)
	}
	if err == nil {
		err = launch.Pause(ctx, lesserGrace)
	}
	if err == nil && !d.passed { // a scrape that failed may have cleared it in between
		err = l.awaitFiring(ctx, d.alerts...)
	}
	board.end()
	over := time.Now()
	for _, fn := range l.end {
		fn()
	}
	l.end = nil
	if undone := d.undo(context.WithoutCancel(ctx), l); undone != nil {
		err = errors.Join(err, fmt.Errorf("undo: %w", undone))
	}
	for _, alert := range d.alerts {
		r := result{alert: alert, cause: d.cause, err: err, commands: commands[alert]}
		fired, _, _ := l.receiver.heard(alert, "full", l.since)
		if !fired.IsZero() {
			r.fire = fired.Sub(l.since)
		}
		if shown := board.shown(alert); !shown.IsZero() {
			r.board = shown.Sub(l.since)
		}
		lesser, _, _ := l.receiver.heard(alert, "lesser", l.since)
		r.noticed = lesser.IsZero()
		results = append(results, r)
	}
	if err != nil {
		return results
	}
	for i := range results {
		if !launch.Eventually(ctx, clearPatience-time.Since(over), func() bool {
			_, _, firing := l.receiver.heard(results[i].alert, "full", l.since)
			return !firing
		}) {
			results[i].err = errors.New("it does not clear")
			continue
		}
		_, cleared, _ := l.receiver.heard(results[i].alert, "full", l.since)
		results[i].clear = max(cleared.Sub(over), 0)
	}
	return results
}

// awaitFired waits until the receiver has heard of alerts since the drill began.
func (l *lab) awaitFired(ctx context.Context, alerts ...string) error {
	var missing []string
	if !launch.Eventually(ctx, firePatience, func() bool {
		missing = slices.DeleteFunc(slices.Clone(alerts), func(alert string) bool {
			fired, _, _ := l.receiver.heard(alert, "full", l.since)
			return !fired.IsZero()
		})
		return len(missing) == 0
	}) {
		return fmt.Errorf("%s did not fire", strings.Join(missing, ", "))
	}
	return nil
}

// awaitFiring waits until alerts fire at the same time.
func (l *lab) awaitFiring(ctx context.Context, alerts ...string) error {
	if !launch.Eventually(ctx, firePatience, func() bool {
		firing := l.firing()
		return !slices.ContainsFunc(alerts, func(alert string) bool { return !slices.Contains(firing, alert) })
	}) {
		return fmt.Errorf("%s cleared while the cause was there", strings.Join(alerts, ", "))
	}
	return nil
}

// look runs the commands of the runbook's sections, as an operator does who was woken.
func (l *lab) look(ctx context.Context, alerts []string) (map[string]int, error) {
	counts := map[string]int{}
	for _, alert := range alerts {
		for _, command := range l.runbook[alert].commands() {
			if err := l.try(ctx, command); err != nil {
				return counts, fmt.Errorf("runbook of %s: %w", alert, err)
			}
			counts[alert]++
		}
	}
	return counts, nil
}

// try runs a command of the runbook. One that reads metrics must find some at a process: a person asks the process that
// the alert names, which is not known here.
func (l *lab) try(ctx context.Context, command string) error {
	for _, n := range []*node{l.extra, l.api, l.work} {
		if n == nil {
			continue
		}
		out, err := l.shell(ctx, n, command)
		if err != nil || !strings.Contains(command, "$OPS/metrics") || strings.TrimSpace(out) != "" {
			return err
		}
	}
	return fmt.Errorf("%s: it prints nothing at any process", command)
}

// shell runs a command of the runbook and returns what it prints. An answer of 4xx or 5xx, and a database that is down,
// are findings and no failures.
func (l *lab) shell(ctx context.Context, n *node, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	const api = `api() {
	curl -fsS -m 20 -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' "$@"
}
`
	cmd := exec.CommandContext(ctx, "sh", "-c", api+`millrace() { `+l.binary+` "$@"; }`+"\n"+command)
	cmd.Dir = l.deployment.dir
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "MILLRACE=" + l.api.url(""), "OPS=" + n.opsURL(""), "KEY=" + l.key,
		"DATABASE_URL=" + l.dsn(), "PGCONNECT_TIMEOUT=3",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		switch code := exit.ExitCode(); {
		case strings.Contains(command, "api ") && (code == 22 || code == 7): // an answer, or no process
			return string(out), nil
		case strings.HasPrefix(command, "psql") && code == 2 && !strings.Contains(stderr.String(), "ERROR"):
			return string(out), nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s%s", command, err, out, stderr.String())
	}
	return string(out), nil
}
