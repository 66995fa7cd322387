package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Marks between which the table is written.
const (
	tableBegin = "<!-- drills: begin -->"
	tableEnd   = "<!-- drills: end -->"
)

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()) }

func (r result) String() string {
	if r.err != nil {
		return fmt.Sprintf("%s: FAILED: %v", r.alert, r.err)
	}
	return fmt.Sprintf("%s: fired after %s s, cleared after %s s, removal noticed: %t, %d commands of the runbook ran",
		r.alert, seconds(r.fire), seconds(r.clear), r.noticed, r.commands)
}

// table returns the results as Markdown, and below it the alerts without a drill.
func table(results []result) string {
	var b strings.Builder
	b.WriteString("| alert | cause | seconds to fire | seconds to clear | removal noticed |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fire, clear, noticed := seconds(r.fire), seconds(r.clear), "yes"
		if r.err != nil {
			fire, clear = "failed", "failed"
		}
		if !r.noticed {
			noticed = "no"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.alert, r.cause, fire, clear, noticed)
	}
	without := undrilled()
	for _, alert := range slices.Sorted(maps.Keys(without)) {
		fmt.Fprintf(&b, "| %s | not drilled: %s | | | by promtool |\n", alert, without[alert])
	}
	return b.String()
}

// publishTable writes the table between the marks of a file. Alerts that were not drilled this time keep their rows.
func publishTable(path string, results []result) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	_, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s", path, tableBegin)
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n\n"+table(results)+"\n"+tableEnd+after), 0o644)
}
