package trace_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

// One order's spans: the attempts are below the placement, a retry links to the first attempt without having seen it,
// and a commit is of no caller, links to each, and is sampled if one of them is.
func TestSpans(t *testing.T) {
	t.Parallel()
	exporter := tracetest.NewInMemoryExporter()
	provider := trace.NewProvider(exporter, sdk.ParentBased(sdk.NeverSample()), nil)
	tracer := trace.New(provider)
	request, requested := tracer.Request(t.Context(), http.MethodPost, traceparent)
	creating, created := trace.Create(request)
	origin := orders.Origin{RequestID: "r1", Traceparent: trace.Here(creating)}
	unsampled, ignored := tracer.Request(t.Context(), http.MethodPost, "")
	_, commit := trace.Commit(t.Context(), "SaveOrder", []trace.Point{trace.PointOf(unsampled), trace.PointOf(creating)})
	commit.End()
	trace.Shared(creating, commit.Point())
	created.End()
	id := orders.NewID()
	requested.Answered(http.MethodPost, "/api/orders", "r1", &id, http.StatusAccepted)
	ignored.Answered(http.MethodPost, "/api/orders", "r2", nil, http.StatusAccepted)

	for number := 1; number <= 2; number++ { // as two processes make them
		job, run := tracer.Job(t.Context(), orders.CarryQueue, id, origin, time.Now())
		ctx, attempt := trace.Attempt(job, orders.ReserveInventory, "key", number)
		header := http.Header{}
		trace.Send(ctx, header)
		require.Equal(t, trace.Here(ctx), header.Get("Traceparent"))
		attempt.EndAs("failed", true)
		run.End()
	}
	require.NoError(t, provider.ForceFlush(t.Context()))

	byName := map[string][]tracetest.SpanStub{}
	for _, span := range exporter.GetSpans() {
		byName[span.Name] = append(byName[span.Name], span)
	}
	server, create, save := byName["POST /api/orders"], byName["CreateOrder"][0], byName["SaveOrder"][0]
	require.Len(t, server, 1, "the other request is not sampled")
	require.Equal(t, traceID, server[0].SpanContext.TraceID().String())
	require.Equal(t, spanID, server[0].Parent.SpanID().String())
	require.Equal(t, server[0].SpanContext.SpanID(), create.Parent.SpanID())
	require.False(t, save.Parent.IsValid())
	require.NotEqual(t, traceID, save.SpanContext.TraceID().String())
	require.Len(t, save.Links, 2)
	require.Equal(t, create.SpanContext.SpanID(), save.Links[1].SpanContext.SpanID())
	require.Equal(t, save.SpanContext.SpanID(), create.Links[0].SpanContext.SpanID())
	jobs, attempts := byName["process orders"], byName["CheckInventory"]
	require.Len(t, jobs, 2)
	for i, run := range jobs {
		require.Equal(t, create.SpanContext.SpanID(), run.Parent.SpanID())
		require.Equal(t, oteltrace.SpanKindConsumer, run.SpanKind)
		require.Equal(t, run.SpanContext.SpanID(), attempts[i].Parent.SpanID())
		require.Equal(t, traceID, attempts[i].SpanContext.TraceID().String())
	}
	require.Empty(t, attempts[0].Links)
	require.Equal(t, attempts[0].SpanContext.SpanID(), attempts[1].Links[0].SpanContext.SpanID())
}

// Without a Tracer, nothing is allocated for spans.
//
//nolint:paralleltest // the allocations of other tests would count
func TestFree(t *testing.T) {
	var off *trace.Tracer
	ctx, id, began := t.Context(), orders.NewID(), time.Now()
	points := []trace.Point{trace.PointOf(ctx)}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx, request := off.Request(ctx, http.MethodPost, "")
		ctx, create := trace.Create(ctx)
		_, commit := trace.Commit(ctx, "SaveOrder", points)
		trace.Shared(ctx, commit.Point())
		trace.Placed(ctx, id)
		ctx, job := off.Job(ctx, orders.CarryQueue, id, orders.Origin{}, began)
		ctx, attempt := trace.Attempt(ctx, orders.BookShipment, "key", 2)
		trace.Status(ctx, http.StatusOK)
		for _, span := range []trace.Span{commit, create, attempt, job} {
			span.EndAs("ok", false)
		}
		request.Answered(http.MethodPost, "/", "r", nil, http.StatusOK)
	}))
}
