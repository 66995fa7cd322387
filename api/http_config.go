package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
	"github.com/millrace-orders/millrace/webhook"
)

const (
	defaultMaxStreams     = 5000
	defaultMaxStreamsEach = 20
	defaultMaxInFlight    = 512
	defaultHeartbeat      = 15 * time.Second
	defaultSlowReader     = 5 * time.Second
)

// ErrDegraded marks the error of a readiness check for a part that the process can serve without.
var ErrDegraded = errors.New("degraded")

// Config says what a Server works with.
type Config struct {
	Store *store.Store
	// Replicas may answer lists, exports, pages of the feed, the history and explanations. nil: there are none.
	Replicas *store.Replicas
	Cache    *cache.Orders
	// Feed is the source of event streams. New subscribes to it, so it must not run yet. If it is nil, open streams look
	// for changes with each heartbeat.
	Feed       *store.Feed
	Logger     *slog.Logger
	Tracer     *trace.Tracer         // nil: no spans
	Registerer prometheus.Registerer // may be nil

	// Auth authenticates callers. If it is nil, every request that needs a credential is refused.
	Auth *auth.Authenticator
	// Ready runs the readiness checks by name; an error that is ErrDegraded does not take the process out of service.
	// May be nil.
	Ready   func(ctx context.Context) map[string]error
	Version string
	// SchemaVersion returns the version of the database schema, 0 if it is unknown. May be nil.
	SchemaVersion func() int64
	// Instance is this process's name among the River clients. One of them is the leader.
	Instance string
	// Breakers returns the states of this process's circuit breakers by provider: closed, half_open or open. May be nil.
	Breakers func() map[string]string
	// Webhooks is the policy for the addresses of webhooks.
	Webhooks webhook.Policy
	// Gatherer is the source of /api/system/metrics. If it is nil, that has no metrics.
	Gatherer prometheus.Gatherer
	Now      func() time.Time // default time.Now

	// Limits are how many requests senders may send in the Limiter's window. Without a Limiter there are none. The code
	// that makes the Limiter runs it. Reconfigure changes them.
	Limits  Limits
	Limiter *limit.Limiter
	// TrustedProxies are the proxies whose X-Forwarded-For is used.
	TrustedProxies []netip.Prefix

	// AllowedOrigins are the sites, such as https://shop.example, whose pages may use the API in a browser. Reconfigure
	// changes them.
	AllowedOrigins []string

	MaxInFlight    int           // requests being answered at a time, without event streams; default 512
	MaxStreams     int           // open event streams and requests that wait, at a time; default 5000
	MaxStreamsEach int           // open event streams of one principal in this process; default 20, no limit below 0
	Heartbeat      time.Duration // between two comments on an idle stream; default 15 s
	// SlowReader is how long a reader of a stream or an export may accept no data before it is cut off. The reader can
	// resume later. Default 5 s.
	SlowReader time.Duration
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Store == nil {
		c.Store = new(store.Store)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.MaxStreams = cmp.Or(c.MaxStreams, defaultMaxStreams)
	c.MaxStreamsEach = cmp.Or(c.MaxStreamsEach, defaultMaxStreamsEach)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, defaultMaxInFlight)
	c.Heartbeat = cmp.Or(c.Heartbeat, defaultHeartbeat)
	c.SlowReader = cmp.Or(c.SlowReader, defaultSlowReader)
	return c
}
