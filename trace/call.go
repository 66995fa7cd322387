package trace

import (
	"context"
	"net/http"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// Call begins the span of a call over HTTP. template is the path without what differs from call to call.
func Call(ctx context.Context, method, template string, to *url.URL) (context.Context, Span) {
	if !recorded(ctx) {
		return ctx, Span{}
	}
	name, attrs := method, append(server(to), httpMethod(method))
	if template != "" {
		name, attrs = method+" "+template, append(attrs, semconv.URLTemplate(template))
	}
	return child(ctx, name, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(attrs...))
}

// Mail begins the span of handing a message to a mail server.
func Mail(ctx context.Context, scheme, host string) (context.Context, Span) {
	if !recorded(ctx) {
		return ctx, Span{}
	}
	return child(ctx, "send email", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		append(server(&url.URL{Scheme: scheme, Host: host}), attribute.String("network.protocol.name", "smtp"))...))
}

// Status notes the status of an answer in the context's span.
func Status(ctx context.Context, status int) {
	if recorded(ctx) {
		oteltrace.SpanFromContext(ctx).SetAttributes(httpStatus(status))
	}
}

// Send gives a request the context's place in a trace.
func Send(ctx context.Context, header http.Header) {
	if here := Here(ctx); here != "" {
		header.Set("Traceparent", here)
	}
}
