package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// trace is a trace as Jaeger's query API has it.
type trace struct {
	TraceID string
	Spans   []span
}

// span is a span of it. Times are in microseconds.
type span struct {
	TraceID, SpanID, OperationName string
	References                     []reference
	StartTime, Duration            int64
}

type reference struct{ RefType, TraceID, SpanID string }

const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// The spans of an order that is completed, and the span that each is below.
const (
	request = "POST /api/orders"
	create  = "CreateOrder"
	job     = "process orders"
	message = "send webhook"
	commit  = "SaveOrder"
)

func steps() []string {
	return []string{"AuthorizePayment", "CheckInventory", "QuoteShipping", "CapturePayment", "BookShipment", "SendEmail"}
}

// parents has the parent of each span, by name.
func parents() map[string]string {
	of := map[string]string{create: request, job: create, message: create}
	for _, step := range steps() {
		of[step] = job
	}
	return of
}

func (d *deployment) read(ctx context.Context, id string) (trace, error) {
	var answer struct{ Data []trace }
	err := d.ask(ctx, http.MethodGet, d.query+"/api/traces/"+id, nil, &answer)
	if err == nil && len(answer.Data) != 1 {
		err = fmt.Errorf("%d traces have the id %s in Jaeger", len(answer.Data), id)
	}
	if err != nil {
		return trace{}, err
	}
	slices.SortFunc(answer.Data[0].Spans, func(a, b span) int { return int(a.StartTime - b.StartTime) })
	return answer.Data[0], nil
}

// awaitTrace waits until Jaeger has all spans: they come from several exports.
func (d *deployment) awaitTrace(ctx context.Context) (t trace, err error) {
	if launch.Eventually(ctx, patience, func() bool {
		t, err = d.read(ctx, callersTrace)
		if err == nil {
			err = t.check()
		}
		return err == nil
	}) {
		return t, nil
	}
	return t, fmt.Errorf("the trace was not whole in %s: %w", patience, err)
}

// check compares the trace with the documented spans.
func (t trace) check() error {
	var wrong []error
	first, found := t.named(request)
	if !found || first.parent() != callersSpan {
		wrong = append(wrong, errors.New("the request is not below the caller's span"))
	}
	for name, parent := range parents() {
		s, found := t.named(name)
		above, known := t.named(parent)
		if !found || !known || s.parent() != above.SpanID {
			wrong = append(wrong, fmt.Errorf("%s is missing, or not below %s", name, parent))
		}
	}
	for _, step := range steps() {
		attempt, _ := t.named(step)
		if !slices.ContainsFunc(t.Spans, func(s span) bool { return s.parent() == attempt.SpanID }) {
			wrong = append(wrong, fmt.Errorf("%s has no call of its provider", step))
		}
	}
	return errors.Join(wrong...)
}

// checkCommit looks whether the commit that stored the order is a trace of its own, and each links to the other.
func (d *deployment) checkCommit(ctx context.Context, t trace) error {
	placed, _ := t.named(create)
	link := slices.IndexFunc(placed.References, func(r reference) bool { return r.RefType == followsFrom })
	if link < 0 {
		return errors.New("CreateOrder has no link to its commit")
	}
	to := placed.References[link]
	if to.TraceID == t.TraceID {
		return errors.New("the commit is part of a caller's trace")
	}
	other, err := d.read(ctx, to.TraceID)
	if err != nil {
		return fmt.Errorf("the commit: %w", err)
	}
	saved, found := other.named(commit)
	back := reference{followsFrom, t.TraceID, placed.SpanID}
	if !found || saved.SpanID != to.SpanID || !slices.Contains(saved.References, back) {
		return errors.New("the commit does not link back")
	}
	return nil
}

func (t trace) named(name string) (span, bool) {
	i := slices.IndexFunc(t.Spans, func(s span) bool { return s.OperationName == name })
	if i < 0 {
		return span{}, false
	}
	return t.Spans[i], true
}

// parent returns the id of the span that this one is below; empty for none.
func (s span) parent() string {
	for _, r := range s.References {
		if r.RefType == childOf {
			return r.SpanID
		}
	}
	return ""
}

// line is a span in the tree.
type line struct {
	span

	depth int
}

// lines returns the spans as a tree, in the order in which they began.
func (t trace) lines() (list []line) {
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		for _, s := range t.Spans {
			if s.parent() == parent {
				list = append(list, line{s, depth})
				below(s.SpanID, depth+1)
			}
		}
	}
	below(callersSpan, 0)
	return list
}

func (t trace) tree() string {
	var b strings.Builder
	for _, l := range t.lines() {
		fmt.Fprintf(&b, "%s%s, %.1f ms\n", strings.Repeat("  ", l.depth), l.OperationName, float64(l.Duration)/1000)
	}
	return b.String()
}
