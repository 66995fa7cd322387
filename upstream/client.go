package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/upstream/wire"
)

// maxBody bounds the part of an answer that is read, and maxPage that of a page of a list.
const (
	maxBody = 64 << 10
	maxPage = 1 << 20
)

// client calls one provider.
type client struct {
	provider  orders.Provider
	base      *url.URL
	token     atomic.Pointer[string]
	timeout   time.Duration
	transport http.RoundTripper
	breaker   *breaker
	metrics   *metrics
	lane      *lane
}

// call is one call to make. judge interprets its answer.
type call struct {
	label  string // for metrics: the step, or ask
	path   string // for spans: without what differs from call to call
	method string
	url    *url.URL
	key    string // only with a body
	body   []byte
	limit  int64 // of the answer's body; 0 for maxBody

	step  orders.StepName // that the call is about
	asked string          // the key that the call is about
	sent  []byte          // the step's body; nil if the caller does not know it
	judge func(orders.Provider, call, reply) (Answer, error)
}

func newClient(p orders.Provider, base *url.URL, c Config, m *metrics) *client {
	transport := c.Transport
	if transport == nil {
		transport = newTransport(c.Timeout, c.MaxConns)
	}
	client := &client{
		provider: p, base: base, timeout: c.Timeout,
		transport: transport, breaker: newBreaker(p, c.Breaker, c.Logger, m), metrics: m, lane: new(lane),
	}
	client.setToken(c.Tokens[p])
	return client
}

func (c *client) setToken(token string) { c.token.Store(&token) }

// newTransport returns the transport of one provider. It has no HTTP/2: each call has its own connection, so the number
// of connections is the bulkhead.
func newTransport(timeout time.Duration, conns int) *wire.Transport {
	return wire.New(wire.Config{
		Setup: min(timeout, 5*time.Second), Conns: conns, HeaderBytes: maxBody,
		Idle: 30 * time.Second, // before most servers and load balancers close them
	})
}

// call makes the call unless the breaker is open.
func (c *client) call(ctx context.Context, o call) (Answer, error) {
	start := time.Now()
	ctx, span := trace.Call(ctx, o.method, o.path, o.url)
	answer, err := c.lane.observe(func() (Answer, error) { return c.guarded(ctx, o) })
	c.metrics.observe(ctx, c.provider, o.label, err, time.Since(start))
	span.EndAs(outcome(err), isFailure(err))
	return answer, err
}

func (c *client) guarded(ctx context.Context, o call) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, fmt.Errorf("%s: %w", c.provider, err) // not made, so the breaker does not count it
	}
	return c.breaker.do(func() (Answer, error) {
		r, err := c.exchange(ctx, o)
		if err != nil {
			return Answer{}, err
		}
		return o.judge(c.provider, o, r)
	})
}

// exchange makes one HTTP exchange. It uses the transport directly: an http.Client would follow redirects.
func (c *client) exchange(parent context.Context, o call) (reply, error) {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	req, err := c.request(ctx, o)
	if err != nil {
		return reply{}, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return reply{}, c.lost(parent, err)
	}
	defer resp.Body.Close()
	trace.Status(ctx, resp.StatusCode)
	if resp.StatusCode < http.StatusOK {
		// 101: the connection is the caller's from here on, and the end of ctx does not end a read of it.
		return reply{status: resp.StatusCode, header: resp.Header}, nil
	}
	defer context.AfterFunc(ctx, func() { _ = resp.Body.Close() })() // even if the transport ignores ctx

	body, err := read(resp.Body, resp.Header.Get("Content-Encoding"), cmp.Or(o.limit, maxBody))
	switch {
	case errors.Is(err, errTooLong), errors.Is(err, errCoding):
		err = &UnavailableError{
			Provider: c.provider, Reason: "answer is not of the contract: " + err.Error(), Unclear: true, cause: err,
		}
	case err != nil:
		err = c.lost(parent, cmp.Or(ctx.Err(), err))
	}
	return reply{resp.StatusCode, resp.Header, body, err}, nil
}

func (c *client) request(ctx context.Context, o call) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, o.method, "/", bytes.NewReader(o.body))
	if err != nil {
		return nil, &MisconfiguredError{Provider: c.provider} // cannot happen
	}
	req.URL, req.Host = o.url, o.url.Host // it was parsed before
	// http.Transport, which tests use, would send a POST with GetBody and an Idempotency-Key again by itself. A provider
	// that takes effect and dies would then get a call many times, and the breaker would see one failure.
	req.GetBody = nil

	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "millrace")
	if o.key != "" {
		req.Header.Set("Idempotency-Key", o.key)
		req.Header.Set("Content-Type", "application/json")
	}
	trace.Send(ctx, req.Header)
	if token := *c.token.Load(); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// lost classifies an exchange without an answer. A cancellation by the caller is not the provider's fault. A deadline
// that passed is, whether the caller's or ours: otherwise an impatient caller would never learn that the provider
// hangs.
func (c *client) lost(parent context.Context, err error) error {
	if errors.Is(parent.Err(), context.Canceled) {
		return fmt.Errorf("%s: %w", c.provider, context.Canceled)
	}
	return &UnavailableError{Provider: c.provider, Reason: reason(err)}
}
