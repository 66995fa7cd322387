package trace

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// NewProvider makes the provider of a Tracer: it collects spans, and hands them to the exporter in batches. If the
// exporter is too slow, spans are dropped, and nothing waits. The caller shuts the provider down.
func NewProvider(exporter sdk.SpanExporter, sampler sdk.Sampler, about *resource.Resource) *sdk.TracerProvider {
	return sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithSampler(commitSampler{sampler}),
		sdk.WithIDGenerator(ids{}), sdk.WithResource(about))
}

type (
	sampledKey struct{} // the span is sampled
	spanIDKey  struct{} // the id of the span
)

// commitSampler samples the commits of sampled callers. By its trace, which is its own, a commit would mostly be left
// out.
type commitSampler struct{ sdk.Sampler }

// ShouldSample implements sdk.Sampler.
func (s commitSampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.ParentContext.Value(sampledKey{}) != nil {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return s.Sampler.ShouldSample(p)
}

// ids are random, unless the span is one that others link to without having seen it.
type ids struct{}

// NewIDs implements sdk.IDGenerator.
func (ids) NewIDs(context.Context) (id oteltrace.TraceID, span oteltrace.SpanID) {
	_, _ = rand.Read(id[:]) // it never fails
	_, _ = rand.Read(span[:])
	return id, span
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ oteltrace.TraceID) (span oteltrace.SpanID) {
	if wanted, ok := ctx.Value(spanIDKey{}).(oteltrace.SpanID); ok {
		return wanted
	}
	_, _ = rand.Read(span[:])
	return span
}

// spanIDFor returns the id of the span of the first attempt under a key.
func spanIDFor(key string) (id oteltrace.SpanID) {
	sum := sha256.Sum256([]byte(key))
	copy(id[:], sum[:])
	return id
}
