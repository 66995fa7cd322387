package trace

import (
	"context"
	"log/slog"
	"time"
)

// The names of the fields that log lines have of their scope.
const (
	FieldRequest = "request_id"
	FieldOrder   = "order_id"
	FieldTrace   = "trace_id"
	FieldSpan    = "span_id"
)

// Handler adds the ids of the context's scope to each log line, unless the line has them.
type Handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := missing(r, idsOf(ctx)); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Handler.WithGroup(name)} }

// idsOf returns the ids of a context's scope.
func idsOf(ctx context.Context) (attrs []slog.Attr) {
	s := ScopeOf(ctx)
	if s == nil {
		return nil
	}
	here := Here(ctx)
	for _, id := range [...]struct{ name, value string }{
		{FieldRequest, s.requestID}, {FieldTrace, IDOf(here)}, {FieldSpan, spanIDOf(here)},
	} {
		if id.value != "" {
			attrs = append(attrs, slog.String(id.name, id.value))
		}
	}
	if order := s.order.Load(); order != nil {
		attrs = append(attrs, slog.String(FieldOrder, order.String()))
	}
	return attrs
}

// missing returns the attributes that a line does not have.
func missing(r slog.Record, attrs []slog.Attr) []slog.Attr {
	if len(attrs) == 0 {
		return nil
	}
	r.Attrs(func(has slog.Attr) bool {
		for i, a := range attrs {
			if a.Key == has.Key {
				attrs = append(attrs[:i], attrs[i+1:]...)
				break
			}
		}
		return len(attrs) > 0
	})
	return attrs
}

// Work returns what the line of a request says of its work: how the cache answered, how many callers shared its commit,
// and how long it waited for the database.
func (s *Scope) Work() (attrs []slog.Attr) {
	if s == nil {
		return nil
	}
	if result := s.cache.Load(); result != nil {
		attrs = append(attrs, slog.String("cache", *result))
	}
	if callers := s.commit.Load(); callers > 0 {
		attrs = append(attrs, slog.Int64("commit_callers", callers))
	}
	if waited := time.Duration(s.waited.Load()); waited > 0 {
		attrs = append(attrs, slog.Float64("database_seconds", waited.Seconds()))
	}
	return attrs
}
