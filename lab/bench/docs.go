package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var errNoBlock = errors.New("performance.md has no place for the results")

// document writes the results into a directory: the tables into performance.md, and the picture beside it.
func (r *results) document(dir string) error {
	var b strings.Builder
	b.WriteString(r.heading())
	b.WriteString("![What Millrace and others do in a second](performance.svg)\n\n")
	b.WriteString("### Targets\n\n" + r.targets() + "\n")
	if table := r.expectations(); table != "" {
		b.WriteString("### What is usually expected\n\n" + table + "\n")
	}
	r.print(&b)
	if r.Breakdown != "" {
		b.WriteString("### What Postgres does for an order of Millrace\n\n" + r.Breakdown)
	}
	return errors.Join(
		replaceBlock(dir, "results", b.String()),
		os.WriteFile(filepath.Join(dir, "performance.svg"), []byte(r.picture()), 0o644),
	)
}

// documentGrowth writes the results of a growth run.
func (r *results) documentGrowth(dir, large, small string) error {
	var b strings.Builder
	b.WriteString(r.heading())
	b.WriteString(r.grown(large, small) + "\n")
	r.print(&b)
	return replaceBlock(dir, "growth", b.String())
}

// replaceBlock replaces the part of performance.md between the two comments with a given name.
func replaceBlock(dir, name, text string) error {
	begins, ends := "<!-- bench: "+name+" -->", "<!-- bench: end of "+name+" -->"
	path := filepath.Join(dir, "performance.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(old), begins)
	_, after, foundEnd := strings.Cut(rest, ends)
	if !found || !foundEnd {
		return errNoBlock
	}
	text = before + begins + "\n\n" + strings.TrimRight(text, "\n") + "\n\n" + ends + after
	return os.WriteFile(path, []byte(text), 0o644)
}

// heading describes how, when and on which machine the results were measured.
func (r *results) heading() string {
	return fmt.Sprintf("`%s` on %s, %s. %s. Postgres: %s.\n\n%d rounds, each measurement %g s. A figure is the median; "+
		"in brackets the smallest and the largest.\n\n", r.Command, r.Machine, r.At.Format("2 January 2006, 15:04 UTC"),
		pairs(r.Machine.Versions, " "), pairs(r.Machine.Postgres, " = "), r.Rounds, r.Seconds)
}

func pairs(values map[string]string, between string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		texts = append(texts, name+between+values[name])
	}
	return strings.Join(texts, ", ")
}
