package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	getSection     = "Cached GET of an order"
	getConnections = 64

	plainHandler = "bare net/http handler"
	humaHandler  = "bare Huma handler"
	redisHandler = "net/http handler that reads Redis"
	redisOrders  = "Huma handler that reads orders from Redis"
)

// cachedGet is an order at rest in a Millrace, and its body, which all contenders serve.
type cachedGet struct {
	*bench
	database *database
	world    *world
	millrace *process
	redis    *redisServer // nil: without Redis
	path     string
	body     []byte
	bodyFile string
}

// openGet starts a Millrace and completes one order in it.
func (b *bench) openGet(ctx context.Context, redis *redisServer) (*cachedGet, error) {
	d, err := b.cluster.database(ctx, template)
	if err != nil {
		return nil, err
	}
	w, err := openWorld(ctx, 0)
	if err != nil {
		return nil, err
	}
	g := &cachedGet{bench: b, database: d, world: w, redis: redis, bodyFile: filepath.Join(b.dir, "order.json")}
	if g.millrace, err = b.startMillrace(ctx, d, "serve", w.args()...); err != nil {
		return nil, err
	}
	conn, err := dial(ctx, g.millrace.API)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	body, err := conn.expect(http.StatusOK, new(orderMaker).make("Prefer: wait=30\r\n").request)
	if err != nil {
		return nil, fmt.Errorf("place order: %w", err)
	}
	var order struct{ OrderID string }
	if err := json.Unmarshal(body, &order); err != nil {
		return nil, err
	}
	g.path = "/api/orders/" + order.OrderID
	if err := w.awaitEmails(ctx, 1); err != nil { // the order's last change
		return nil, err
	}
	if err := g.settle(ctx, conn); err != nil {
		return nil, err
	}
	return g, os.WriteFile(g.bodyFile, g.body, 0o644)
}

// settle reads the order until it has the e-mail's outcome.
func (g *cachedGet) settle(ctx context.Context, conn *connection) error {
	for {
		body, err := conn.expect(http.StatusOK, get(g.path))
		if err != nil {
			return err
		}
		if !bytes.Contains(body, []byte(`"pending"`)) {
			g.body = bytes.Clone(body)
			return nil
		}
		if err := launch.Pause(ctx, leaveInterval); err != nil {
			return err
		}
	}
}

func (g *cachedGet) close() error {
	return errors.Join(g.millrace.stop(), g.world.close(), g.database.drop())
}

// measurements lists the contenders.
func (g *cachedGet) measurements() []measurement {
	all := []measurement{
		{"GET, " + millrace, func(ctx context.Context) error { return g.measure(ctx, millrace, g.millrace) }},
		{"GET, " + humaHandler, func(ctx context.Context) error { return g.measureBaseline(ctx, humaHandler, "huma") }},
		{"GET, " + plainHandler, func(ctx context.Context) error { return g.measureBaseline(ctx, plainHandler, "plain") }},
	}
	if g.redis != nil {
		all = append(all, measurement{"GET, " + redisHandler, func(ctx context.Context) error {
			return g.measureBaseline(ctx, redisHandler, "redis", "--redis", g.redis.addr)
		}}, measurement{"GET, " + redisOrders, func(ctx context.Context) error {
			return g.measureBaseline(ctx, redisOrders, "huma-redis", "--redis", g.redis.addr)
		}})
	}
	return all
}

func (g *cachedGet) measureBaseline(ctx context.Context, contender, kind string, args ...string) error {
	p, err := spawn(ctx, nil, g.self, append([]string{"baseline", kind, "--body", g.bodyFile}, args...)...)
	if err != nil {
		return err
	}
	return errors.Join(g.measure(ctx, contender, p), p.stop())
}

func (g *cachedGet) measure(ctx context.Context, contender string, p *process) error {
	processes := []int{p.PID()}
	if contender == redisHandler || contender == redisOrders {
		processes = append(processes, g.redis.PID())
	}
	m, err := startMeter(ctx, g.database, processes...)
	if err != nil {
		return err
	}
	profiled := g.profile(ctx, p, "get", g.span.measured)
	l, err := run(ctx, getConnections, g.span, func(ctx context.Context) (call, func(), error) {
		conn, err := dial(ctx, p.API)
		if err != nil {
			return nil, nil, err
		}
		request := get(g.path)
		return func(context.Context) error {
			body, err := conn.expect(http.StatusOK, request)
			if err == nil && len(bytes.TrimSpace(body)) != len(bytes.TrimSpace(g.body)) {
				err = fmt.Errorf("answered another order: %s", body)
			}
			return err
		}, func() { _ = conn.Close() }, nil
	})
	if err = errors.Join(err, profiled(), p.Alive()); err != nil {
		return err
	}
	used, err := m.read(ctx, l.all)
	if err != nil {
		return err
	}
	g.results.add(getSection, contender, connectionsLabel(getConnections), map[string]float64{
		rate: l.rate(), p50: l.quantile(0.5), p99: l.quantile(0.99),
		serverCPU: used[serverCPU], loadCPU: used[loadCPU], memoryMB: used[memoryMB],
	})
	return nil
}
