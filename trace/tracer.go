package trace

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/millrace-orders/millrace/orders"
)

// library names Millrace in its spans, as the library that made them.
const library = "github.com/millrace-orders/millrace"

const hexDigits = "0123456789abcdef"

// Tracer begins spans where work comes in: requests, jobs and messages to webhooks. What belongs to such work gets
// spans by its context. A nil Tracer makes none, and costs nothing.
type Tracer struct{ tracer oteltrace.Tracer }

// New makes a Tracer.
func New(p oteltrace.TracerProvider) *Tracer { return &Tracer{p.Tracer(library)} }

// Span is a span under way. The zero Span is none.
type Span struct{ span oteltrace.Span }

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// EndAs ends the span with its outcome. failed marks it as an error.
func (s Span) EndAs(outcome string, failed bool) {
	if s.span == nil {
		return
	}
	if s.span.IsRecording() {
		s.span.SetAttributes(attribute.String(outcomeKey, outcome))
		if failed {
			s.span.SetAttributes(errorType(outcome))
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End()
}

// Into returns a context of the span.
func (s Span) Into(ctx context.Context) context.Context {
	if s.span == nil {
		return ctx
	}
	return oteltrace.ContextWithSpan(ctx, s.span)
}

// Point returns the span as others link to it.
func (s Span) Point() Point { return Point(s) }

// Point is a place in a trace.
type Point struct{ span oteltrace.Span }

// PointOf returns a context's place in a trace.
func PointOf(ctx context.Context) Point { return Point{oteltrace.SpanFromContext(ctx)} }

func (p Point) isSampled() bool {
	return p.span != nil && p.span.SpanContext().IsSampled() && p.span.IsRecording()
}

// Here returns a context's place in a trace as a traceparent: of its span or, without one, of its scope. Empty: none.
func Here(ctx context.Context) string {
	if at := oteltrace.SpanContextFromContext(ctx); at.IsValid() {
		return format(at)
	}
	return ScopeOf(ctx).Origin().Traceparent
}

// format allocates once: every call to a provider carries a traceparent, also of an order that is not sampled.
func format(at oteltrace.SpanContext) string {
	var b [traceparentSize]byte
	traceID, spanID := at.TraceID(), at.SpanID()
	copy(b[:], "00-")
	hex.Encode(b[traceIDFrom:], traceID[:])
	b[spanIDFrom-1] = '-'
	hex.Encode(b[spanIDFrom:], spanID[:])
	b[flagsFrom-1] = '-'
	hex.Encode(b[flagsFrom:], []byte{byte(at.TraceFlags())})
	return string(b[:])
}

// from returns a context whose next span is a child of a traceparent's; without a traceparent, of none.
func from(ctx context.Context, traceparent string) context.Context {
	return oteltrace.ContextWithRemoteSpanContext(ctx, remote(traceparent))
}

func remote(traceparent string) oteltrace.SpanContext {
	if len(traceparent) != traceparentSize {
		return oteltrace.SpanContext{}
	}
	traceID, _ := oteltrace.TraceIDFromHex(IDOf(traceparent)) // it was checked when it came
	spanID, _ := oteltrace.SpanIDFromHex(spanIDOf(traceparent))
	flags := oteltrace.TraceFlags(0)
	if strings.IndexByte(hexDigits, traceparent[traceparentSize-1])%2 == 1 {
		flags = oteltrace.FlagsSampled
	}
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: flags, Remote: true,
	})
}

// child begins a span below the one of the context, if that is recorded.
func child(ctx context.Context, name string, options ...oteltrace.SpanStartOption) (context.Context, Span) {
	parent := oteltrace.SpanFromContext(ctx)
	ctx, span := parent.TracerProvider().Tracer(library).Start(ctx, name, options...)
	return ctx, Span{span}
}

func recorded(ctx context.Context) bool { return oteltrace.SpanFromContext(ctx).IsRecording() }

// Request begins the span of a request, below the caller's place in a trace.
func (t *Tracer) Request(ctx context.Context, method, traceparent string) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(from(ctx, traceparent), method, oteltrace.WithSpanKind(oteltrace.SpanKindServer),
		oteltrace.WithAttributes(httpMethod(method)))
	return ctx, Span{span}
}

// Answered ends the span of a request, with the pattern of its path.
func (s Span) Answered(method, route, requestID string, order *orders.ID, status int) {
	if s.span == nil {
		return
	}
	if s.span.IsRecording() {
		if route != "" {
			s.span.SetName(method + " " + route)
			s.span.SetAttributes(httpRoute(route))
		}
		s.span.SetAttributes(httpStatus(status), attribute.String(requestKey, requestID))
		if order != nil {
			s.span.SetAttributes(attribute.String(orderKey, order.String()))
		}
		if status >= 500 {
			s.span.SetAttributes(errorStatus(status))
			s.span.SetStatus(codes.Error, "")
		}
	}
	s.span.End()
}

// Create begins the span in which an order is placed. What is done for the order later is below it.
func Create(ctx context.Context) (context.Context, Span) {
	if !oteltrace.SpanContextFromContext(ctx).IsValid() {
		return ctx, Span{}
	}
	return child(ctx, "CreateOrder")
}

// Placed notes which order was placed, in the context's span.
func Placed(ctx context.Context, id orders.ID) {
	if recorded(ctx) {
		oteltrace.SpanFromContext(ctx).SetAttributes(attribute.String(orderKey, id.String()))
	}
}

// Commit begins the span of a commit, which is linked to all its callers and below none: it belongs to each of them. It
// is recorded if one of them is.
func Commit(ctx context.Context, name string, callers []Point) (context.Context, Span) {
	var provider oteltrace.TracerProvider
	for _, c := range callers {
		if c.isSampled() {
			provider = c.span.TracerProvider()
			break
		}
	}
	if provider == nil {
		return ctx, Span{}
	}
	links := make([]oteltrace.Link, 0, len(callers))
	for _, c := range callers {
		if at := c.span.SpanContext(); at.IsValid() {
			links = append(links, oteltrace.Link{SpanContext: at})
		}
	}
	_, span := provider.Tracer(library).Start(context.WithValue(ctx, sampledKey{}, true), name,
		oteltrace.WithNewRoot(), oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithLinks(links...),
		oteltrace.WithAttributes(database(name, len(callers))...))
	return oteltrace.ContextWithSpan(ctx, span), Span{span}
}

// Shared links the context's span to the commit that it shared.
func Shared(ctx context.Context, commit Point) {
	if commit.span != nil && recorded(ctx) {
		oteltrace.SpanFromContext(ctx).AddLink(oteltrace.Link{SpanContext: commit.span.SpanContext()})
	}
}

// Job begins the span of a job's run, below the placement of its order.
func (t *Tracer) Job(
	ctx context.Context, queue string, id orders.ID, o orders.Origin, began time.Time,
) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(from(ctx, o.Traceparent), "process "+queue,
		oteltrace.WithSpanKind(oteltrace.SpanKindConsumer), oteltrace.WithTimestamp(began),
		oteltrace.WithAttributes(processing(queue, id, o.RequestID)...))
	return ctx, Span{span}
}

// Attempt begins the span of an attempt at a step. The first attempt has an id that follows from the step's key. So
// every later one links to it, in whichever process it is made.
func Attempt(ctx context.Context, step orders.StepName, key string, number int) (context.Context, Span) {
	if !recorded(ctx) {
		return ctx, Span{}
	}
	return numbered(ctx, SpanOf(step), key, number,
		oteltrace.WithAttributes(attribute.String(stepKey, string(step)), attribute.Int(attemptKey, number)))
}

// Deliver begins the span of an attempt to send a message, below the placement of its order.
func (t *Tracer) Deliver(ctx context.Context, message string, o orders.Origin, number int) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	sent := from(ctx, o.Traceparent)
	options := []oteltrace.SpanStartOption{
		oteltrace.WithSpanKind(oteltrace.SpanKindProducer), oteltrace.WithAttributes(sending(message, number)...),
	}
	if o.Traceparent == "" { // the message is about no order, or about an order of the version before
		ctx, span := t.tracer.Start(sent, deliverSpan, options...)
		return ctx, Span{span}
	}
	return begin(sent, t.tracer, deliverSpan, message, number, options...)
}

func numbered(
	ctx context.Context, name, key string, number int, options ...oteltrace.SpanStartOption,
) (context.Context, Span) {
	tracer := oteltrace.SpanFromContext(ctx).TracerProvider().Tracer(library)
	return begin(ctx, tracer, name, key, number, options...)
}

func begin(
	ctx context.Context, tracer oteltrace.Tracer, name, key string, number int, options ...oteltrace.SpanStartOption,
) (context.Context, Span) {
	first, start := spanIDFor(key), ctx
	if number <= 1 {
		start = context.WithValue(ctx, spanIDKey{}, first)
	} else {
		options = append(options, oteltrace.WithLinks(oteltrace.Link{
			SpanContext: oteltrace.SpanContextFromContext(ctx).WithSpanID(first),
		}))
	}
	_, span := tracer.Start(start, name, options...)
	return oteltrace.ContextWithSpan(ctx, span), Span{span} // without the id, which would be the children's as well
}
