package upstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/orders"
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

// newTransport returns the transport of one provider. Unlike the default one, it has no proxy from the environment and
// no compression. It has no HTTP/2 either: each call has its own connection, so MaxConnsPerHost is the bulkhead.
// Dialling continues after its call has ended, so it needs limits of its own.
func newTransport(timeout time.Duration, conns int) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	setup := min(timeout, 5*time.Second)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: setup, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    setup,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: maxBody,
		MaxConnsPerHost:        conns,
		MaxIdleConnsPerHost:    conns,            // with the default of 2, most calls would reconnect
		IdleConnTimeout:        30 * time.Second, // before most servers and load balancers close them
		DisableCompression:     true,
		ReadBufferSize:         1 << 10, // hundreds of connections, all with short messages
		WriteBufferSize:        1 << 10,
		Protocols:              &protocols,
	}
}

// call makes the call unless the breaker is open.
func (c *client) call(ctx context.Context, o call) (Answer, error) {
	start := time.Now()
	answer, err := c.lane.observe(func() (Answer, error) { return c.guarded(ctx, o) })
	c.metrics.observe(c.provider, o.label, err, time.Since(start))
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

// interimError is an unsolicited interim answer (1xx). 100 and 103 are harmless. Any other is from a server that speaks
// a different protocol, and more could follow.
type interimError struct{ status int }

func (e *interimError) Error() string { return fmt.Sprintf("status %d", e.status) }

func refuseInterim(status int, _ textproto.MIMEHeader) error {
	if status != http.StatusContinue && status != http.StatusEarlyHints {
		return &interimError{status}
	}
	return nil
}

func (c *client) request(ctx context.Context, o call) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: refuseInterim})
	req, err := http.NewRequestWithContext(ctx, o.method, o.url.String(), bytes.NewReader(o.body))
	if err != nil {
		return nil, &MisconfiguredError{Provider: c.provider} // cannot happen: base and key were checked
	}
	// Without GetBody the transport sends a POST once. With it, and because there is an Idempotency-Key, the transport
	// resends by itself whenever a kept-alive connection breaks before the answer, once for each such connection. A
	// provider that takes effect and dies would then get a call MaxConns+1 times, and the breaker would see one
	// failure. That is harmless by contract, but jobs must count retries. A GET is still resent: that stays within ctx
	// and only reads.
	req.GetBody = nil

	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "millrace")
	if o.key != "" {
		req.Header.Set("Idempotency-Key", o.key)
		req.Header.Set("Content-Type", "application/json")
	}
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
