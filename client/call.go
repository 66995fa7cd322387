package client

import (
	"maps"
	"net/http"
	"strconv"

	"github.com/millrace-orders/millrace/client/oas"
)

// CallOption changes one call.
type CallOption func(*call)

// WithIdempotencyKey names the intent of a call that changes something. The server carries out the requests under one
// key once, even if your program restarts in between. Use the id of the order in your own system. Without this option
// each call has a new key, which covers its own retries.
func WithIdempotencyKey(key string) CallOption { return WithHeader(headerIdempotencyKey, key) }

// WithIfMatch makes a change conditional: it is refused ([IsStale]) unless the order still has this version.
func WithIfMatch(version int64) CallOption { return WithHeader("If-Match", etag(version)) }

// WithIfNoneMatch makes a read conditional: it is [ErrNotModified] if the order still has this version.
func WithIfNoneMatch(version int64) CallOption { return WithHeader("If-None-Match", etag(version)) }

// WithMinimumVersion makes a read at least as new as a known version of the order, for example the version that a write
// returned. Without it, another process of the server may return an older version.
func WithMinimumVersion(version int64) CallOption {
	return WithHeader("Minimum-Version", strconv.FormatInt(version, 10))
}

// WithHeader sets a header of the request.
func WithHeader(name, value string) CallOption { return func(c *call) { c.header.Set(name, value) } }

// call has the headers that a call adds to the generated client's parameters, and those that it returns.
type call struct {
	header   http.Header
	replayed bool
}

func newCall(opts []CallOption) *call {
	c := &call{header: make(http.Header)}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// options passes the call on to the generated client.
func (c *call) options() []oas.RequestOption {
	return []oas.RequestOption{
		oas.WithEditRequest(func(r *http.Request) error {
			maps.Copy(r.Header, c.header)
			return nil
		}),
		oas.WithEditResponse(func(r *http.Response) error {
			c.replayed = r.Header.Get("Idempotency-Replayed") == "true"
			return nil
		}),
	}
}

func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// order is the result of a call whose answer is an order.
func (c *call) order(answer orderAnswer) *Order {
	order := newOrder(answer.GetResponse())
	order.Replayed = c.replayed
	return order
}
