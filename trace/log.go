package trace

import (
	"context"
	"log/slog"
	"slices"
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
	s := ScopeOf(ctx)
	if s == nil {
		return h.Handler.Handle(ctx, r)
	}
	here := Here(ctx)
	ids := [...]slog.Attr{
		slog.String(FieldRequest, s.requestID), slog.String(FieldTrace, IDOf(here)), slog.String(FieldSpan, spanIDOf(here)),
		slog.String(FieldOrder, s.orderText()),
	}
	r.Attrs(func(has slog.Attr) bool {
		for i := range ids {
			if ids[i].Key == has.Key {
				ids[i] = slog.Attr{}
			}
		}
		return true
	})
	missing := slices.DeleteFunc(ids[:], func(id slog.Attr) bool { return id.Key == "" || id.Value.String() == "" })
	if len(missing) > 0 {
		r = r.Clone()
		r.AddAttrs(missing...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Handler.WithGroup(name)} }

// orderText returns the id of the order that the scope is about; empty if it is about none.
func (s *Scope) orderText() string {
	if order := s.order.Load(); order != nil {
		return order.String()
	}
	return ""
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
