package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// timesRead is how often each path is read. After five runs of a prepared statement, Postgres considers a plan for any
// parameters, which may be much worse than those before.
const timesRead = 8

// explain sends a Millrace every kind of request in a database with auto_explain, and returns the plans: those of the
// queries as they run, with their real parameters.
func (b *bench) explain(ctx context.Context, d *database) (plans, error) {
	logFile := filepath.Join(b.cluster.dir, "postgres.log")
	before, err := os.Stat(logFile)
	if err != nil {
		return nil, err
	}
	for _, setting := range []string{
		"session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on",
		"auto_explain.log_buffers = on", "auto_explain.log_timing = on",
	} {
		if _, err := d.admin.Exec(ctx, "ALTER DATABASE "+d.name+" SET "+setting); err != nil {
			return nil, err
		}
	}
	asked := b.askEverything(ctx, d)
	log, err := os.ReadFile(logFile)
	if err != nil {
		return nil, errors.Join(asked, err)
	}
	return readPlans(string(log[before.Size():])), asked
}

// askEverything places orders, cancels and refunds them, and reads everything that can be read.
func (b *bench) askEverything(ctx context.Context, d *database) (err error) {
	w, err := openWorld(ctx, slowProviders)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p, err := b.startMillrace(ctx, d, "serve", append(w.args(),
		"--sweep-every", "1s", "--verify-every", "1s", "--reconcile-every", "1s", "--reconcile-repair",
		"--inventory-sync-every", "1s", "--webhook-networks", "127.0.0.0/8", "--rate-limit", "1000000")...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	conn, err := dial(ctx, p.API)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	maker := new(orderMaker)
	if err := place(ctx, p.API, maker, w, time.Now().Add(3*time.Second)); err != nil {
		return err
	}
	again := maker.make("")
	var o changing
	for range 2 { // the second is a replay
		_, body, err := conn.exchange(again.request)
		if err == nil {
			err = json.Unmarshal(body, &o)
		}
		if err != nil {
			return err
		}
	}
	order := "/api/orders/" + o.OrderID
	for range 2 {
		request := post(order+"/cancel", "Idempotency-Key: cancel-1\r\n", "")
		if _, err := conn.expect(http.StatusAccepted, request); err != nil {
			return err
		}
	}
	for _, path := range slices.Repeat(everyPath(order), timesRead) {
		if status, body, err := conn.exchange(get(path)); err != nil || status >= http.StatusInternalServerError {
			return fmt.Errorf("GET %s: %d %s: %w", path, status, body, err)
		}
	}
	place := func(until time.Time) error { return place(ctx, p.API, maker, w, until) }
	if err := askWebhooks(ctx, conn, place); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(20))
	}
	if err := b.askOperations(ctx, d, p); err != nil {
		return err
	}
	return launch.Pause(ctx, 3*time.Second) // the sweep runs every second
}

// everyPath lists all paths that read, of an order and of all orders.
func everyPath(order string) []string {
	from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	return slices.Concat([]string{order, order + "/events"}, []string{
		"/api/orders", "/api/orders?status=completed", "/api/orders?customerId=17", "/api/orders?customerId=17&status=failed",
		"/api/orders?limit=100", "/api/orders/export?from=" + from, "/api/orders/export?status=failed&from=" + from,
		"/api/orders/export?customerId=17", "/api/events?after=start", "/api/events?after=start&customerId=17",
		"/api/inventory", "/api/inventory/1", "/api/notifications", "/api/notifications?customerId=17",
		"/api/notifications?orderId=" + path.Base(order), "/api/system/status", "/api/system/metrics", "/health/ready",
	})
}

// askOperations makes the requests of operators.
func (b *bench) askOperations(ctx context.Context, d *database, p *process) error {
	conn, err := dial(ctx, p.Ops)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, path := range []string{
		"/metrics", "/riverui/api/jobs?state=completed&limit=20", "/riverui/api/queues?limit=20",
	} {
		if _, err := conn.expect(http.StatusOK, get(path)); err != nil {
			return err
		}
	}
	key, err := b.command(ctx, d, "keys", "create", "--role", "viewer", "--name", "bench")
	if err != nil {
		return err
	}
	key = strings.TrimSpace(key)
	if err := showKey(ctx, p, key); err != nil {
		return err
	}
	if err := b.askWithKeys(ctx, d, p); err != nil {
		return err
	}
	for _, args := range [][]string{{"keys", "list"}, {"audit"}, {"keys", "revoke", key}} {
		if _, err := b.command(ctx, d, args...); err != nil {
			return err
		}
	}
	// It reports orders that were never placed. It runs for the sake of its queries.
	_, _ = b.command(ctx, d, "verify", "--deep")
	for _, args := range [][]string{{"migrate"}, {"findings", "list"}} {
		if _, err := b.command(ctx, d, args...); err != nil {
			return err
		}
	}
	return nil
}

// showKey reads orders with a key.
func showKey(ctx context.Context, p *process, key string) error {
	conn, err := dial(ctx, p.API)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.expect(http.StatusOK, fmt.Appendf(nil,
		"GET /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n", key))
	return err
}

// command runs one of Millrace's commands to its end, and returns its output.
func (b *bench) command(ctx context.Context, d *database, args ...string) (string, error) {
	command := exec.CommandContext(ctx, b.millrace, append(args, "--database-url", d.url)...)
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("millrace %s: %w", args[0], err)
	}
	return string(out), err
}
