package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// world has the four providers, simulated in this process, with a ledger in memory. The load generator bears their
// cost, which is the same for all contenders.
type world struct {
	simulator *simulator.Simulator
	server    *http.Server
	addr      string
	shipments atomic.Int64 // answered calls
	emails    atomic.Int64
}

// openWorld starts providers that take latency to answer.
func openWorld(ctx context.Context, latency time.Duration) (*world, error) {
	s, err := simulator.Open(simulator.Config{})
	if err != nil {
		return nil, err
	}
	faults := simulator.Faults{}
	for _, p := range orders.Providers() {
		faults[p] = simulator.Fault{LatencyMs: int(latency.Milliseconds())}
	}
	if err := s.SetFaults(faults); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &world{simulator: s, addr: listener.Addr().String()}
	w.server = &http.Server{Handler: w.count(s.Handler()), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = w.server.Serve(listener) }()
	return w, nil
}

// count counts the calls that end an order.
func (w *world) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r)
		switch {
		case strings.HasSuffix(r.URL.Path, "/shipments"):
			w.shipments.Add(1)
		case strings.HasSuffix(r.URL.Path, "/messages"):
			w.emails.Add(1)
		}
	})
}

func (w *world) close() error { return errors.Join(w.server.Close(), w.simulator.Close()) }

func (w *world) url() string { return "http://" + w.addr }

// args returns the flags with the providers' addresses for Millrace.
func (w *world) args() []string {
	return []string{
		"--payment-url", w.url() + "/payments", "--inventory-url", w.url() + "/inventory",
		"--shipping-url", w.url() + "/shipping", "--email-url", w.url() + "/email",
	}
}

// awaitEmails waits until n e-mails were sent: then n orders are done.
func (w *world) awaitEmails(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	for w.emails.Load() < n {
		if err := launch.Pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("%d of %d e-mails were sent: %w", w.emails.Load(), n, err)
		}
	}
	return nil
}

const (
	drainPatience = 2 * time.Minute
	pollInterval  = 10 * time.Millisecond
)

// check compares the providers' ledger with the placed orders: each was paid, reserved, shipped and mailed once.
func (w *world) check(placed, cents int64) error {
	s := w.simulator.Summary()
	if len(s.Violations) > 0 {
		return fmt.Errorf("%d violations in the ledger, the first is %+v", len(s.Violations), s.Violations[0])
	}
	for _, operation := range []string{"authorize", "reserve", "quote", "capture", "ship", "email"} {
		if n := s.Operations[operation].Count; int64(n) != placed {
			return fmt.Errorf("%d orders were placed, and the ledger has %d of %s", placed, n, operation)
		}
	}
	want := fmt.Sprintf("%d.%02d", cents/100, cents%100)
	if got := s.Operations["capture"].Amounts[orders.USD].String(); got != want {
		return fmt.Errorf("orders of %s were placed, and %s captured", want, got)
	}
	return nil
}
