package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/store"
)

const (
	// keepEvery and keepFor are for how long a process remembers its counters: lately is the longest time that it looks
	// back.
	keepEvery = 10 * time.Second
	lately    = 15 * time.Minute
	// mostTroubleText bounds what a process reports: a text may have an error of the database in it.
	mostTroubleText = 300
)

// troubles looks in this process's own metrics for what the alerts of deploy/prometheus look for, so that the board
// shows it without a Prometheus, and sooner. It never asks the database: it must work when the database does not.
type troubles struct {
	gatherer prometheus.Gatherer
	refused  func() error // why placements cannot be stored; nil if they can
	now      func() time.Time

	mu    sync.Mutex
	kept  []counts // oldest first
	found []store.Trouble
}

func newTroubles(gatherer prometheus.Gatherer, refused func() error, now func() time.Time) *troubles {
	return &troubles{gatherer: gatherer, refused: refused, now: now}
}

// look looks once.
func (t *troubles) look(context.Context) {
	now := readCounts(t.gatherer, t.now())
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == 0 || now.at.Sub(t.kept[len(t.kept)-1].at) >= keepEvery {
		t.kept = append(t.kept, now)
	}
	if len(t.kept) > 1 && now.at.Sub(t.kept[1].at) >= lately {
		t.kept = t.kept[1:]
	}
	signs := signsOf(now, now.since(t.before(now.at.Add(-time.Minute))), now.since(t.before(now.at.Add(-lately))))
	if err := t.refused(); err != nil {
		signs = append(signs, sign{"MillraceWritesRefused", "Its placements cannot be stored: " + err.Error() + "."})
	}
	found := make([]store.Trouble, len(signs))
	for i, s := range signs {
		found[i] = store.Trouble{Alert: s.alert, Text: shortened(s.text)}
	}
	t.found = found
}

// before returns the latest counts that are as old as a moment, or the oldest.
func (t *troubles) before(at time.Time) counts {
	chosen := t.kept[0]
	for _, c := range t.kept {
		if !c.at.After(at) {
			chosen = c
		}
	}
	return chosen
}

// latest returns what the latest look has found, sorted by alert.
func (t *troubles) latest() []store.Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	byAlert := func(a, b store.Trouble) int { return cmp.Compare(a.Alert, b.Alert) }
	return slices.SortedStableFunc(slices.Values(t.found), byAlert)
}

// alerts names what a process is troubled by.
func alerts(list []store.Trouble) string {
	names := make([]string, len(list))
	for i, t := range list {
		names[i] = t.Alert
	}
	return strings.Join(names, " ")
}

func shortened(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > mostTroubleText {
		return string(runes[:mostTroubleText-1]) + "…"
	}
	return text
}
