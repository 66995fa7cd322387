package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// print writes all sections as tables in Markdown. A cell is the median of the rounds, with the spread from the
// smallest to the largest value where it matters.
func (r *results) print(w io.Writer) {
	for _, section := range r.sections() {
		_, _ = fmt.Fprintf(w, "### %s\n\n%s\n", section, r.table(section))
	}
}

func (r *results) sections() (names []string) {
	for _, s := range r.Series {
		if !slices.Contains(names, s.Section) {
			names = append(names, s.Section)
		}
	}
	return names
}

// table returns one section: a row for each contender and condition, a column for each metric.
func (r *results) table(section string) string {
	type row struct{ contender, condition string }
	var rows []row
	has := map[string]bool{}
	for _, s := range r.Series {
		if s.Section != section {
			continue
		}
		has[s.Metric] = true
		if at := (row{s.Contender, s.Condition}); !slices.Contains(rows, at) {
			rows = append(rows, at)
		}
	}
	conditions := r.conditions(section)
	slices.SortStableFunc(rows, func(a, b row) int {
		return slices.Index(conditions, a.condition) - slices.Index(conditions, b.condition)
	})
	columns := slices.DeleteFunc(metrics(), func(m string) bool { return !has[m] })

	var t strings.Builder
	t.WriteString("| | |" + cells(columns) + "\n| --- | --- |" + strings.Repeat(" ---: |", len(columns)) + "\n")
	for _, at := range rows {
		values := make([]string, len(columns))
		for i, metric := range columns {
			if s := r.find(point{section, at.contender, at.condition, metric}); s != nil {
				values[i] = s.String()
			}
		}
		fmt.Fprintf(&t, "| %s | %s |%s\n", at.contender, at.condition, cells(values))
	}
	return t.String()
}

func cells(texts []string) string {
	var b strings.Builder
	for _, text := range texts {
		b.WriteString(" " + text + " |")
	}
	return b.String()
}

// conditions lists a section's conditions in the order in which they were first measured.
func (r *results) conditions(section string) (names []string) {
	for _, s := range r.Series {
		if s.Section == section && !slices.Contains(names, s.Condition) {
			names = append(names, s.Condition)
		}
	}
	return names
}

func (s *series) String() string {
	text := number(s.median())
	if s.Metric == rate && len(s.Values) > 1 {
		text += fmt.Sprintf(" (%s–%s)", number(slices.Min(s.Values)), number(slices.Max(s.Values)))
	}
	return text
}

// number formats with three significant digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return thousands(int64(v + 0.5))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
