package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-orders/millrace/client/oas"
)

const (
	defaultRetries = 8
	// attemptTimeout bounds one attempt, from sending the request to the last byte of the answer. Streams are not
	// bounded by it.
	attemptTimeout = time.Minute
	// silence is for how long a stream may bring nothing at all before its connection counts as dead. The server
	// sends a heartbeat every 15 seconds.
	silence = time.Minute
)

// Client talks to one Millrace. It is safe for concurrent use; make one and share it.
type Client struct {
	api       *oas.Client
	transport *transport
	base      *url.URL
	silence   time.Duration
}

// Option changes how New makes a Client.
type Option func(*Client)

// WithToken makes every request carry a bearer token.
func WithToken(token string) Option { return func(c *Client) { c.transport.token = token } }

// WithHTTPClient makes requests go through h, for example one with its own transport, proxy or certificates. Leave its
// Timeout at zero: it would cut off event streams.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.transport.http = h } }

// WithRetry sets how often a request is repeated after failures that may pass. The default is 8, which takes about
// ten seconds; 0 turns it off.
func WithRetry(maximum int) Option { return func(c *Client) { c.transport.retries = max(maximum, 0) } }

// WithUserAgent says who is calling. It is put before the client's own name.
func WithUserAgent(name string) Option {
	return func(c *Client) { c.transport.userAgent = name + " " + userAgent }
}

// New makes a client of the Millrace at baseURL, for example "https://orders.example.com". It does not connect.
func New(baseURL string, opts ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("parse base URL: %w", err)
	}
	if base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the base URL must begin with http:// or https://")
	}
	c := &Client{
		base: base, silence: silence,
		transport: &transport{
			http: &http.Client{}, retries: defaultRetries, userAgent: userAgent, timeout: attemptTimeout, backoff: backoff,
		},
	}
	for _, opt := range opts {
		opt(c)
	}
	c.api, err = oas.NewClient(baseURL, security{}, oas.WithClient(c.transport))
	if err != nil {
		return nil, fmt.Errorf("parse base URL: %w", err)
	}
	return c, nil
}

// API is the generated client, which has every operation of the API. Its requests carry the token and an idempotency
// key and are repeated like those of Client, and its errors are a [*Problem], too.
func (c *Client) API() *oas.Client { return c.api }

// security satisfies the generated client, which does not know APIs that may be open. The transport sets the token.
type security struct{}

func (security) Bearer(context.Context, oas.OperationName) (oas.Bearer, error) {
	return oas.Bearer{}, nil
}
