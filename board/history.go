package board

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// ranges are the spans that a chart can have.
func ranges() []string { return []string{"1h", "3h", "2d", "90d"} }

// rangeOf is the span that a request asks for.
func rangeOf(r *http.Request) string {
	for _, span := range ranges() {
		if r.URL.Query().Get("range") == span {
			return span
		}
	}
	return "1h"
}

// span returns the resolution and the length of a range. A chart has no more points than pixels.
func span(name string) (store.Resolution, time.Duration) {
	switch name {
	case "3h":
		return store.TenSeconds, 3 * time.Hour
	case "2d":
		return store.Minute, 48 * time.Hour
	case "90d":
		return store.Hour, 90 * 24 * time.Hour
	}
	return store.TenSeconds, time.Hour
}

const mostSamples = 3000

// chart is the history in columns, as uPlot takes it.
type chart struct {
	Span  float64              `json:"span"` // of a sample, in seconds
	Times []int64              `json:"times"`
	Lines map[string][]float64 `json:"lines"`
	Marks []mark               `json:"marks"`
}

type mark struct {
	At      int64  `json:"at"`
	Version string `json:"version"`
}

// history answers with what the charts of a page show.
func (b *board) history(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	resolution, length := span(rangeOf(r))
	now := b.config.Now()
	samples, err := b.config.Store.History.Read(ctx, resolution, now.Add(-length), now, mostSamples)
	if err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	marks, err := b.config.Store.Processes.Versions(ctx, now.Add(-length), mostRows)
	if err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	c := newChart(samples, time.Duration(resolution))
	for _, m := range marks {
		c.Marks = append(c.Marks, mark{m.At.Unix(), m.Version})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c)
}

func newChart(samples []store.Sample, step time.Duration) chart {
	c := chart{Span: step.Seconds(), Times: []int64{}, Lines: map[string][]float64{}, Marks: []mark{}}
	add := func(name string, value float64) { c.Lines[name] = append(c.Lines[name], value) }
	for _, s := range samples {
		c.Times = append(c.Times, s.At.Unix())
		add("unfinished", float64(s.Pending+s.Processing))
		add("attention", float64(s.NeedsAttention))
		add("placed", float64(s.Placed)/step.Seconds())
		add("completed", float64(s.Completed)/step.Seconds())
		add("failed", float64(s.Failed+s.Cancelled)/step.Seconds())
		add("p95", s.DurationP95Seconds)
		for _, p := range orders.Providers() {
			add(string(p)+".backlog", float64(s.Lanes[p].Backlog))
			add(string(p)+".p95", s.Lanes[p].P95Seconds)
			add(string(p)+".age", s.Lanes[p].OldestAgeSeconds)
		}
	}
	return c
}
