package main

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// results has all measurements of a run, in the order in which they were first made.
type results struct {
	Machine machine   `json:"machine"`
	Command string    `json:"command"`
	At      time.Time `json:"at"`
	Rounds  int       `json:"rounds"`
	Seconds float64   `json:"seconds"` // of one measurement, without its warm-up
	Series  []*series `json:"series"`
	// Breakdown is a table of Postgres' work for whole orders of Millrace, in the last round.
	Breakdown string `json:"breakdown"`
}

// point names a measured value: its section, contender, condition and metric.
type point struct {
	Section   string `json:"section"`
	Contender string `json:"contender"`
	Condition string `json:"condition,omitempty"`
	Metric    string `json:"metric"`
}

// series has the values of one point, one for each round.
type series struct {
	point
	Values []float64 `json:"values"`
}

func (r *results) add(section, contender, condition string, values map[string]float64) {
	for _, metric := range metrics() {
		value, ok := values[metric]
		if !ok {
			continue
		}
		at := point{section, contender, condition, metric}
		s := r.find(at)
		if s == nil {
			s = &series{point: at}
			r.Series = append(r.Series, s)
		}
		s.Values = append(s.Values, value)
	}
}

func (r *results) find(p point) *series {
	i := slices.IndexFunc(r.Series, func(s *series) bool { return s.point == p })
	if i < 0 {
		return nil
	}
	return r.Series[i]
}

func (s *series) median() float64 {
	sorted := slices.Sorted(slices.Values(s.Values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

func (r *results) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
