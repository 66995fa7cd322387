package api

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
)

// Errors of every command.
var (
	errOrderChanged = problems.New(problems.Stale, "order_changed",
		"The order has changed since the version in If-Match. Read the order again.").For(orders.ErrVersionConflict)
	errTooManyTries = problems.New(problems.Conflict, "too_many_tries", "The order cannot be retried any more.").
			Detailed("After %d steps an order cannot be retried any more. Accept an outcome, or compensate.", orders.MaxSteps).
			For(orders.ErrTooManyTries)
)

// commandErrors returns the errors of every command and those of one command.
func commandErrors(own ...*problems.Error) []*problems.Error {
	return append(own, errOrderChanged, errTooManyTries, errKeyReused)
}

// CommandHeaders are the headers of a request that changes an order. They are exported because Huma ignores embedded
// structs that are not.
type CommandHeaders struct {
	IfMatch        string `header:"If-Match" example:"\"4\"" doc:"The ETag of the order as the caller knows it, or a list of ETags, one of which must be current. If the order has changed since, nothing is done and the answer is 412"`
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the same request under the same key gets the first answer again, for a week. 1 to 255 visible ASCII characters"`
}

// request adds the headers and the caller to the event that the request asks for.
func (h CommandHeaders) request(ctx context.Context, e orders.Event) (orders.Event, error) {
	e.Principal = exchangeOf(ctx).principal.Name
	var err error
	if h.IdempotencyKey != "" {
		if e.IdempotencyKey, err = parseIdempotencyKey(h.IdempotencyKey); err != nil {
			return e, err
		}
	}
	e.IfVersions, err = parseIfMatch(h.IfMatch)
	return e, err
}

// parseIfMatch returns the versions that the header names, or nil if any version is acceptable. A tag that no order can
// have never matches, and a weak tag must not match (RFC 9110, 13.1.1).
func parseIfMatch(header string) ([]int64, error) {
	const never = -1
	if header == "" {
		return nil, nil
	}
	tags, all, ok := parseEntityTags(header)
	switch {
	case !ok:
		return nil, badInput("header.If-Match", "must be entity tags, such as \"4\", or *")
	case all:
		return nil, nil
	}
	versions := make([]int64, len(tags))
	for i, tag := range tags {
		versions[i] = never
		if n, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64); err == nil && tag == etag(n) {
			versions[i] = n
		}
	}
	return versions, nil
}

// outcome is the answer to a command.
type outcome[T any] struct {
	ETag     string `header:"ETag" doc:"The order's version"`
	Replayed string `header:"Idempotency-Replayed" doc:"true if this request was made before under this key"`
	Body     T
}

func newOutcome[T any](a store.Applied, body T) *outcome[T] {
	return &outcome[T]{ETag: etag(a.Order.Version), Replayed: replayHeader(a.Replayed), Body: body}
}

// replayHeader is the value of Idempotency-Replayed.
func replayHeader(replayed bool) string {
	if replayed {
		return "true"
	}
	return ""
}

// command applies a request to an order and drops the order from the cache. If it is unknown whether the request was
// applied, the caller gets advice. refused is the error if the order's status rules the request out; its text has a
// placeholder for the status.
func (o orderOperations) command(
	ctx context.Context, e orders.Event, advice string, refused *problems.Error,
) (store.Applied, error) {
	applied, err := o.orders.Apply(ctx, []orders.Event{e})
	o.cache.Forget(e.OrderID) // after an error, too: the order may have been written
	if err != nil {
		return store.Applied{}, &uncertainError{advice, err}
	}
	if state, ok := errors.AsType[*orders.StateError](applied[0].Err); ok {
		return store.Applied{}, refused.Detailed(refused.Detail, state.Status)
	}
	exchangeOf(ctx).replayed = applied[0].Replayed
	if applied[0].Ended {
		trace.LogEnd(ctx, o.logger, &applied[0].Order, nil)
	}
	return applied[0], applied[0].Err
}
