package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/store"
)

func (n *node) newAPI(
	ctx context.Context, bell *store.Doorbell, feed *store.Feed, feedPool *pgxpool.Pool, instance string, pulse *pulse,
) (*api.Server, error) {
	c := n.config
	pool, err := n.pool(ctx, "api", c.connections.APIConnections)
	if err != nil {
		return nil, err
	}
	s, err := store.New(store.Config{
		DB: pool, Now: n.clock.Now, Wall: time.Now, Doorbell: bell, Feed: feed, Recent: n.recent, Registerer: n.part("api"),
		Alone: c.connections.CommitAlone, Writes: n.writes, Holds: n.holds,
	})
	if err != nil {
		return nil, err
	}
	n.watchWrites(s)
	cached, err := cache.New(cache.Config{
		Load: s.Orders.Get, Behind: feed.Behind, MaxBytes: int64(c.api.CacheSize), TTL: c.api.CacheTTL,
		Registerer: n.registry,
	})
	if err != nil {
		return nil, err
	}
	n.onStop(cached.Close)
	feed.Subscribe(func(entries []store.Entry) {
		for _, e := range entries {
			cached.Forget(e.OrderID)
		}
	})
	replicas, err := n.startReplicas(ctx, s, feed)
	if err != nil {
		return nil, err
	}
	return api.New(api.Config{
		Store: s, Replicas: replicas, Cache: cached, Feed: feed, Now: n.clock.Now, Logger: n.logger, Tracer: n.tracer,
		Registerer: n.registry,
		Auth:       n.authenticator(s), Version: version, Instance: instance, Breakers: n.breakers, Gatherer: n.metrics(),
		Limiter: n.startLimiter(feedPool), Limits: c.limits,
		TrustedProxies: c.api.TrustedProxies,
		MaxInFlight:    c.api.MaxInFlight, MaxStreams: c.api.MaxStreams, MaxStreamsEach: c.api.MaxStreamsEach,
		AllowedOrigins: c.api.AllowedOrigins,
		Webhooks:       c.webhooks.policy(),
		SchemaVersion:  pulse.schema.Load,
		Ready: func(ctx context.Context) map[string]error {
			return map[string]error{
				"database": pulse.Err(), "feed": feedHealth(feed), "invariants": invariantsHealth(ctx, s),
				"writes": n.writes.Err(), "levers": leversHealth(n.holds),
			}
		},
	}), nil
}

// bind listens on a server's address. serve answers there.
func (n *node) bind(ctx context.Context, name, addr string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for %s (is another millrace running? --%s-addr chooses another address): %w",
			name, name, err)
	}
	n.addrs[name] = listener.Addr().String()
	n.listeners[name] = listener
	n.onStop(func() { _ = listener.Close() })
	return nil
}

// serve serves HTTP on the listener of that name, until the process stops. Then it calls drain, and waits up to
// patience for the server's requests.
func (n *node) serve(name string, handler http.Handler, drain func(), patience time.Duration) {
	listener := n.listeners[name]
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(n.logger.Handler(), slog.LevelDebug),
	}
	arriving := new(arrivals)
	arriving.watch(server)
	go func() {
		serve := server.Serve
		if n.tls != nil {
			server.TLSConfig = n.tls.config()
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			n.failed <- fmt.Errorf("serve %s: %w", name, err)
		}
	}()
	n.onStop(func() {
		drain()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		shutDown(ctx, server, listener, arriving, n.logger.With("server", name))
	})
}

// shutDown closes the listener, and waits for the requests of connections that have begun.
func shutDown(
	ctx context.Context, server *http.Server, listener net.Listener, arriving *arrivals, logger *slog.Logger,
) {
	begun, cancel := context.WithTimeout(ctx, arrivalPatience)
	defer cancel()
	missed := lastCall(begun, listener)
	_ = listener.Close()
	if err := errors.Join(missed, arriving.wait(begun)); err != nil {
		logger.Info("connections closed before their first request", "error", err)
	}
	if err := server.Shutdown(ctx); err != nil {
		logger.Warn("requests cut off", "error", err)
		_ = server.Close()
	}
}
