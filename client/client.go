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
	// silence is the longest time without data before a stream's connection counts as dead. The server sends a
	// heartbeat every 15 seconds.
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

// WithToken adds a bearer token to every request.
func WithToken(token string) Option { return func(c *Client) { c.transport.token = token } }

// WithHTTPClient sends requests through h, for example with your own transport, proxy or certificates. Leave its
// Timeout at zero: a timeout would cut off event streams.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.transport.http = h } }

// WithRetry sets how often a request is repeated after temporary failures. The default is 8, which takes about ten
// seconds. Zero turns retries off.
func WithRetry(maximum int) Option { return func(c *Client) { c.transport.retries = max(maximum, 0) } }

// WithUserAgent names the calling program. The name is put before the client's own.
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
// key and are repeated like those of Client. Its errors are a [*Problem], too.
func (c *Client) API() *oas.Client { return c.api }

// security satisfies the generated client, which does not support an API without authentication. The transport sets the
// token.
type security struct{}

func (security) Bearer(context.Context, oas.OperationName) (oas.Bearer, error) {
	return oas.Bearer{}, nil
}
