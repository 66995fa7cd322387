package main

import (
	"fmt"
	"os"
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
	return fmt.Sprintf("%s: fired after %s s, on the board after %s s, cleared after %s s, removal noticed: %t, "+
		"%d commands of the runbook ran", r.alert, seconds(r.fire), seconds(r.board), seconds(r.clear), r.noticed, r.commands)
}

// row returns the result as a row of the table.
func (r result) row() string {
	fire, board, clear, noticed := seconds(r.fire), seconds(r.board), seconds(r.clear), "yes"
	if r.err != nil {
		fire, board, clear = "failed", "failed", "failed"
	}
	if !r.noticed {
		noticed = "no"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", r.alert, r.cause, fire, board, clear, noticed)
}

// table returns the results as Markdown, in the order of the drills. Alerts without a result keep the row that they
// have in an earlier table.
func table(results []result, earlier string) string {
	rows := map[string]string{}
	for line := range strings.SplitSeq(earlier, "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows[strings.TrimSpace(cells[1])] = line
		}
	}
	for _, r := range results {
		rows[r.alert] = r.row()
	}
	lines := []string{
		"| alert | cause | seconds to fire | on the board | seconds to clear | removal noticed |",
		"| --- | --- | --- | --- | --- | --- |",
	}
	for _, d := range drills() {
		for _, alert := range d.alerts {
			if row := rows[alert]; row != "" {
				lines = append(lines, row)
			}
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// publishTable writes the table between the marks of a file.
func publishTable(path string, results []result) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(content), tableBegin)
	earlier, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		return fmt.Errorf("%s has no %s", path, tableBegin)
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n\n"+table(results, earlier)+"\n"+tableEnd+after), 0o644)
}
