// Command payment is a payment adapter: it speaks Millrace's provider contract (docs/providers.md) on one side and a
// card gateway's API on the other. docs/adapter.md builds it step by step. Copy it, and write a gateway.go
// for your own bank.
//
//	DATABASE_URL=postgres://… GATEWAY_URL=https://api.stripe.com GATEWAY_KEY=sk_… payment
package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(log); err != nil {
		log.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	ledger := &Ledger{pool: pool}
	if err := ledger.Create(ctx); err != nil {
		return err
	}
	adapter := &Adapter{
		Ledger: ledger,
		Gateway: &Gateway{
			URL: os.Getenv("GATEWAY_URL"), Key: os.Getenv("GATEWAY_KEY"),
			Client: &http.Client{Timeout: 8 * time.Second}, // Millrace waits 10 s for the adapter
		},
		Token: os.Getenv("ADAPTER_TOKEN"),
		Log:   log,
	}
	server := &http.Server{
		Handler:     adapter.Handler(),
		ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:9090")
	if err != nil {
		return err
	}
	return serve(ctx, server, listener)
}

// serve answers until ctx ends, and returns when it has answered the calls that had begun.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped // Serve returns at once
}
