package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

func heal(ctx context.Context, l *lab) error { return l.setFaults(ctx, nil) }

// forget removes what is left of processes that were killed, as the runbook has it.
func (l *lab) forget(ctx context.Context) error {
	return l.sql(ctx, "DELETE FROM millrace.instances WHERE heartbeat_at < now() - interval '9 s'",
		"DELETE FROM millrace.processes WHERE reported_at < now() - interval '9 s'")
}

// hold runs a statement in a transaction that stays open until the drill ends.
func (l *lab) hold(ctx context.Context, statement string) error {
	conn, err := l.connect(ctx)
	if err != nil {
		return err
	}
	l.end = append(l.end, func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	_, err = conn.Exec(ctx, "BEGIN; "+statement)
	return err
}

// crowd opens connections until few are left.
func crowd(ctx context.Context, l *lab) error {
	for {
		conn, err := l.connect(ctx)
		if err != nil {
			return err
		}
		l.end = append(l.end, func() { _ = conn.Close(context.WithoutCancel(ctx)) })
		var crowded bool
		const ask = "SELECT sum(numbackends) > 0.93 * current_setting('max_connections')::int FROM pg_stat_database"
		if err := conn.QueryRow(ctx, ask).Scan(&crowded); err != nil || crowded {
			return err
		}
	}
}

func (l *lab) addExtra(ctx context.Context, binary, command string, args ...string) error {
	return l.addExtraWith(ctx, nil, binary, command, args...)
}

func (l *lab) addExtraWith(ctx context.Context, env []string, binary, command string, args ...string) (err error) {
	l.extra, err = l.addWith(ctx, env, binary, command, args...)
	return err
}

func removeExtra(_ context.Context, l *lab) error {
	if l.extra == nil {
		return nil
	}
	n := l.extra
	l.extra = nil
	return l.remove(n, syscall.SIGTERM)
}

// overload asks a process that answers one request at a time for lists, from many goroutines.
func overload(ctx context.Context, l *lab) error {
	if err := l.addExtra(ctx, l.binary, "api", "--max-in-flight", "1", "--rate-limit", "0"); err != nil {
		return err
	}
	busy, cancel := context.WithCancel(ctx)
	l.end = append(l.end, cancel)
	l.list(busy, l.extra, 16, 20*time.Millisecond)
	return nil
}

// list has many callers ask a process for lists of orders until ctx ends. Each waits between two requests.
func (l *lab) list(ctx context.Context, n *node, callers int, every time.Duration) {
	for range callers {
		go func() {
			for ctx.Err() == nil {
				_ = l.ask(ctx, http.MethodGet, n.url("/api/orders?limit=100"), nil, nil)
				_ = launch.Pause(ctx, every)
			}
		}()
	}
}

// redrive has the providers work again, and every order that needs attention tried again.
func redrive(ctx context.Context, l *lab) error {
	if err := l.setFaults(ctx, nil); err != nil {
		return err
	}
	for range 30 {
		err := l.ask(ctx, http.MethodPost, l.api.url("/api/dead-letters/redrive"),
			map[string]any{"ratePerSecond": 50, "reason": "the drill is over"}, nil)
		if err != nil {
			return err
		}
		var left struct {
			Items []any
		}
		if err := launch.Pause(ctx, 3*time.Second); err != nil {
			return err
		}
		if err := l.ask(ctx, http.MethodGet, l.api.url("/api/dead-letters/orders?limit=1"), nil, &left); err != nil {
			return err
		}
		if len(left.Items) == 0 {
			return nil
		}
	}
	return errors.New("orders still need attention")
}

func (l *lab) register(ctx context.Context, url string) error {
	return l.ask(ctx, http.MethodPost, l.api.url("/api/webhooks"), map[string]any{"url": url}, nil)
}

// unregister deletes all webhooks.
func unregister(ctx context.Context, l *lab) error {
	var list struct{ Items []struct{ WebhookID string } }
	if err := l.ask(ctx, http.MethodGet, l.api.url("/api/webhooks"), nil, &list); err != nil {
		return err
	}
	for _, w := range list.Items {
		if err := l.ask(ctx, http.MethodDelete, l.api.url("/api/webhooks/"+w.WebhookID), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// newHooks takes messages to webhooks. At /gone it answers 410.
func newHooks() (*receiver, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + listener.Addr().String()}
	r.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/gone" {
				w.WriteHeader(http.StatusGone)
			}
		})}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

// lag adds a standby that does not replay what it gets.
func lag(ctx context.Context, l *lab) error {
	dir := l.deployment.dir + "/standby"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	primary := fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=standby", l.config.Port, postgres.User)
	if err := l.server.Clone(ctx, dir, primary); err != nil {
		return err
	}
	config := l.config
	config.Dir, config.Port = dir, 0
	standby, err := postgres.Start(ctx, config)
	if err != nil {
		return err
	}
	l.end = append(l.end, func() {
		_ = standby.Stop(context.WithoutCancel(ctx))
		_ = postgres.Reset(dir)
	})
	behind := &deployment{server: standby}
	if err := behind.sql(ctx, "SELECT pg_wal_replay_pause()"); err != nil {
		return err
	}
	return l.sql(ctx, `SELECT count(pg_logical_emit_message(false, 'drill', repeat('x', 1000000)))
		FROM generate_series(1, 320)`)
}
