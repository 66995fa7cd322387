package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// whole returns a trace that has everything.
func whole() trace {
	t := trace{TraceID: callersTrace}
	add := func(name, parent string) {
		t.Spans = append(t.Spans, span{
			TraceID: callersTrace, SpanID: name, OperationName: name, StartTime: int64(len(t.Spans)) * 1000, Duration: 1500,
			References: []reference{{childOf, callersTrace, parent}},
		})
	}
	add(request, callersSpan)
	add(create, request)
	add(job, create)
	add(message, create)
	for _, step := range steps() {
		add(step, job)
		add("POST for "+step, step)
	}
	return t
}

// TestCheck: a trace holds if each span is below the right one, and one span that is missing or elsewhere is noticed.
func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, whole().check())
	for i := range whole().Spans {
		less := whole()
		name := less.Spans[i].OperationName
		less.Spans = append(less.Spans[:i], less.Spans[i+1:]...)
		require.Error(t, less.check(), name)

		astray := whole()
		astray.Spans[i].References = nil
		require.Error(t, astray.check(), name)
	}
}

// TestDraw: the picture has each span once.
func TestDraw(t *testing.T) {
	t.Parallel()
	picture, tree := whole().draw(), "\n"+whole().tree()
	for _, s := range whole().Spans {
		require.Equal(t, 1, strings.Count(picture, ">"+s.OperationName+"<"), s.OperationName)
		require.Regexp(t, `\n *`+regexp.QuoteMeta(s.OperationName)+`, 1\.5 ms\n`, tree)
	}
}
