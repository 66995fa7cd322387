package main

import (
	"fmt"
	"strings"
)

// target is a ratio that we aim for.
type target struct {
	ratio
	lower bool // the ratio should be at most that
}

// tracedLeast is the share of its speed that Millrace should keep when a tenth of all traces are kept.
const tracedLeast = 0.98

func targets() []target {
	at64, at1 := connectionsLabel(64), connectionsLabel(1)
	intake := func(contender, condition, metric string) point {
		return point{intakeSection, contender, condition, metric}
	}
	get := func(contender string) point {
		return point{getSection, contender, connectionsLabel(getConnections), rate}
	}
	whole := func(contender, condition, metric string) point {
		return point{wholeSection, contender, condition, metric}
	}
	all := []target{
		{ratio{
			"intake, 64 connections, against a transaction each",
			intake(millrace, at64, rate), intake(millraceAlone, at64, rate), 4.5,
		}, false},
		{ratio{"its p99", intake(millrace, at64, p99), intake(millraceAlone, at64, p99), 1.0 / 3}, true},
		{ratio{
			"intake, 64 connections, against bare inserts without HTTP",
			intake(millrace, at64, rate), intake(bareInsert, at64, rate), 0.5,
		}, false},
		{ratio{
			"intake, one connection, against a transaction each",
			intake(millrace, at1, rate), intake(millraceAlone, at1, rate), 0.98,
		}, false},
	}
	for _, condition := range []string{latencyLabel(0), latencyLabel(slowProviders)} {
		ours := "whole orders, " + condition
		for _, other := range []struct {
			name  string
			least float64
		}{{millraceBefore, 1.4}, {dbosContender, 3.5}, {rabbitContender, 1.1}, {rabbitWithHistory, 2}} {
			all = append(all, target{ratio{
				ours + ", against " + other.name,
				whole(millrace, condition, rate), whole(other.name, condition, rate), other.least,
			}, false})
		}
		all = append(all,
			target{ratio{
				ours + ", a tenth traced, against untraced",
				whole(millraceTraced, condition, rate), whole(millrace, condition, rate), tracedLeast,
			}, false},
			target{ratio{ours + ", KB of WAL each", whole(millrace, condition, walKB), point{}, 10}, true},
			target{ratio{
				ours + ", Postgres's CPU against " + millraceBefore,
				whole(millrace, condition, postgresCPU), whole(millraceBefore, condition, postgresCPU), 0.6,
			}, true},
			target{ratio{
				ours + ", the server's CPU against " + millraceBefore,
				whole(millrace, condition, serverCPU), whole(millraceBefore, condition, serverCPU), 0.75,
			}, true})
	}
	step := func(metric string) point { return point{journeySection, journeyStep, journeyLoad, metric} }
	snapshot := func(contender, metric string) point {
		return point{snapshotSection, contender, snapshotLoad, metric}
	}
	lone := point{loneSection, millrace, latencyLabel(0), p50}
	loneMost := lone
	loneMost.Metric = p99
	return append(all,
		target{ratio{"lone order, providers take 0 ms, p50 ms", lone, point{}, 25}, true},
		target{ratio{"its p99", loneMost, point{}, 60}, true},
		target{ratio{"a step beyond the provider's time, p50 ms", step(p50), point{}, 4}, true},
		target{ratio{"its p99", step(p99), point{}, 20}, true},
		target{ratio{
			"memory under the full load, MB", point{steadySection, wholeProcess, fullLoad, memoryMB}, point{}, 120,
		}, true},
		target{ratio{
			"orders a second, with an old transaction open against none", snapshot(snapshotOpen, rate),
			snapshot(snapshotNone, rate), 0.95,
		}, false},
		target{ratio{
			"their p99, likewise", snapshot(snapshotOpen, p99), snapshot(snapshotNone, p99), 1.5,
		}, true},
		target{ratio{"cached GET, against a " + humaHandler, get(millrace), get(humaHandler), 0.9}, false},
		target{ratio{"cached GET, against a " + redisOrders, get(millrace), get(redisOrders), 2.2}, false},
		target{ratio{"cached GET, against a " + redisHandler, get(millrace), get(redisHandler), 2}, false},
	)
}

// targets returns a table of the measured targets.
func (r *results) targets() string {
	var b strings.Builder
	b.WriteString("| | target | measured | |\n| --- | ---: | ---: | --- |\n")
	for _, t := range targets() {
		got := t.of(r)
		if got == 0 {
			continue
		}
		bound, met := "at least", got >= t.least
		if t.lower {
			bound, met = "at most", got <= t.least
		}
		fmt.Fprintf(&b, "| %s | %s %.2f | %.2f | %s |\n", t.what, bound, t.least, got, verdict(met))
	}
	return b.String()
}

// grownLeast is the share of its speed that each measurement should keep.
const grownLeast = 0.8

// grown returns a table of the speed with many orders, compared with few.
func (r *results) grown(large, small string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| with %s, against %s | target | measured | |\n| --- | ---: | ---: | --- |\n", large, small)
	for _, s := range r.Series {
		if s.Section != growthSection || s.Condition != large || s.Metric != rate {
			continue
		}
		got := ratio{ours: s.point, theirs: point{growthSection, s.Contender, small, rate}}.of(r)
		fmt.Fprintf(&b, "| %s | at least %.2f | %.2f | %s |\n", s.Contender, grownLeast, got, verdict(got >= grownLeast))
	}
	return b.String()
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}
