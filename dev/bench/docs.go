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

// The part of docs/performance.md that the bench writes.
const (
	blockBegins = "<!-- bench: everything from here on is written by the bench -->"
	blockEnds   = "<!-- bench: until here -->"
)

var errNoBlock = errors.New("performance.md has no place for the results")

// document writes the results into a directory: the tables into performance.md, the picture and the raw values beside
// it.
func (r *results) document(dir string) error {
	path := filepath.Join(dir, "performance.md")
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(old), blockBegins)
	_, after, foundEnd := strings.Cut(rest, blockEnds)
	if !found || !foundEnd {
		return errNoBlock
	}
	text := before + blockBegins + "\n\n" + r.markdown() + "\n" + blockEnds + after
	return errors.Join(
		os.WriteFile(path, []byte(text), 0o644),
		os.WriteFile(filepath.Join(dir, "performance.svg"), []byte(r.picture()), 0o644),
		r.write(filepath.Join(dir, "performance.json")),
	)
}

// markdown is everything there is to say about a run.
func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s` on %s, %s.\n\n", r.Command, r.Machine, r.At.Format("2 January 2006, 15:04 UTC"))
	fmt.Fprintf(&b, "%s. Postgres: %s.\n\n", pairs(r.Machine.Versions, " "), pairs(r.Machine.Postgres, " = "))
	fmt.Fprintf(&b, "%d rounds, each measurement %g s. A figure is the median; in brackets the smallest and the largest."+
		"\n\n", r.Rounds, r.Seconds)
	b.WriteString("![What Millrace and others do in a second](performance.svg)\n\n")
	b.WriteString("### Targets\n\n" + r.targets() + "\n")
	if table := r.expectations(); table != "" {
		b.WriteString("### What such systems promise\n\n" + table + "\n")
	}
	r.print(&b)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func pairs(values map[string]string, between string) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		texts = append(texts, name+between+values[name])
	}
	return strings.Join(texts, ", ")
}
