package api

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/store"
)

const (
	positionHeader = "Millrace-Position"
	// explainMaxLag keeps explanations from calling processes dead whose heartbeats a replica has not replayed.
	explainMaxLag = 2 * time.Second
)

// PositionParam is in the input of what a replica may answer. It is exported because Huma ignores embedded structs that
// are not.
type PositionParam struct {
	Position string `header:"Millrace-Position" maxLength:"33" example:"4f1c2a9be07d3312-0000000003a1f6c8" doc:"The Millrace-Position of the caller's latest answer: the answer shows at least what the caller has seen. Only with it a replica may answer. any: the caller has seen nothing yet"`
}

func (p PositionParam) parse() (store.Position, error) {
	seen, err := store.ParsePosition(p.Position)
	if err != nil {
		return seen, badField("header."+positionHeader, "must be the Millrace-Position of an answer, or any")
	}
	return seen, nil
}

// reads answers reads from replicas. Without any, everything is read from the primary.
type reads struct {
	primary  *store.Store
	replicas *store.Replicas // nil: none
}

// from runs fn on a replica that shows what the caller has seen, or on the primary. It tells the caller what it has
// seen now. fn may run twice.
func (r reads) from(
	ctx context.Context, p PositionParam, maxLag time.Duration, fn func(context.Context, *store.Store) error,
) error {
	_, err := r.after(ctx, p, maxLag, fn)
	return err
}

// after is from, and returns the position as the parameter of the next read.
func (r reads) after(
	ctx context.Context, p PositionParam, maxLag time.Duration, fn func(context.Context, *store.Store) error,
) (PositionParam, error) {
	seen, err := p.parse()
	if err != nil {
		return p, err
	}
	if r.replicas == nil {
		return p, fn(ctx, r.primary)
	}
	reached, err := r.replicas.Read(ctx, seen, maxLag, fn)
	if err != nil {
		return p, err
	}
	exchangeOf(ctx).tellPosition(reached)
	return PositionParam{reached.String()}, nil
}

// positioned gives exchanges the replicas, so that answers can tell the caller's position.
func positioned(replicas *store.Replicas) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if replicas == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := exchangeOf(r.Context())
			x.replicas, x.header = replicas, w.Header()
			next.ServeHTTP(w, r)
		})
	}
}

// tellPosition has the answer say what the caller has seen. It does nothing once the answer has begun.
func (x *exchange) tellPosition(p store.Position) {
	if x.header != nil {
		x.header.Set(positionHeader, p.String())
	}
}

// tellWritten has the answer say that the caller has seen everything that was committed so far: its own write among it.
func (x *exchange) tellWritten(ctx context.Context) {
	if x.replicas != nil {
		x.tellPosition(x.replicas.Position(ctx))
	}
}
