package api

import (
	"context"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/orders"
)

// CommandHeaders are the headers of a request to do something to an order. Exported for Huma,
// which does not look into what is not.
type CommandHeaders struct {
	IfMatch        string `header:"If-Match" example:"\"4\"" doc:"The ETag of the order as the caller knows it. If the order has changed since, nothing is done and the answer is 412"`
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes repeating safe: the same key and request give the first answer again, for a week. 1 to 255 visible ASCII characters"`
}

// request makes the event that asks for what the caller wants.
func (h CommandHeaders) request(ctx context.Context, e orders.Event) (orders.Event, error) {
	e.Principal = exchangeOf(ctx).principal.Name
	var err error
	if h.IdempotencyKey != "" {
		if e.IdempotencyKey, err = parseIdempotencyKey(h.IdempotencyKey); err != nil {
			return e, err
		}
	}
	e.IfVersion, err = parseIfMatch(h.IfMatch)
	return e, err
}

// parseIfMatch returns the version that the header names, 0 if any will do. Tags that no order ever has are never
// matched, and weak tags must not be (RFC 9110, 13.1.1).
func parseIfMatch(header string) (int64, error) {
	const never = -1
	switch header = strings.TrimSpace(header); {
	case header == "" || header == "*":
		return 0, nil
	case strings.HasPrefix(header, "W/"):
		return never, nil
	case len(header) < 2 || header[0] != '"' || header[len(header)-1] != '"' || strings.Contains(header, ","):
		return 0, &inputError{"header.If-Match", "must be one entity tag, such as \"4\", or *"}
	}
	version, err := strconv.ParseInt(header[1:len(header)-1], 10, 64)
	if err != nil || version < 1 {
		return never, nil //nolint:nilerr // a tag of something else
	}
	return version, nil
}

// command applies a request to an order and drops the order from the cache.
func (s *Server) command(
	ctx context.Context, e orders.Event, advice string,
) (order orders.Order, replayed bool, err error) {
	applied, err := s.config.Store.Apply(ctx, []orders.Event{e})
	s.config.Cache.Forget(e.OrderID) // after an error too: it may have been written
	if err != nil {
		return orders.Order{}, false, &uncertainError{advice, err}
	}
	return applied[0].Order, applied[0].Replayed, applied[0].Err
}

func replayHeader(replayed bool) string {
	if replayed {
		return "true"
	}
	return ""
}
