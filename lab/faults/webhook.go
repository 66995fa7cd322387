package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// receiver is the receiver of the webhooks. It accepts everything, and remembers the first arrival of each message.
type receiver struct {
	server *http.Server
	url    string
	mu     sync.Mutex
	seen   map[string]bool
	latest map[string]int64 // version, by webhook and order
	late   []string         // messages that arrived after a later message of their order
}

// loopbackWebhooks allows webhooks on this machine.
func loopbackWebhooks() []string { return []string{"--webhook-networks", "127.0.0.0/8"} }

func newReceiver(ctx context.Context) (*receiver, error) {
	r := &receiver{seen: map[string]bool{}, latest: map[string]int64{}}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.url = "http://" + listener.Addr().String()
	r.server = &http.Server{Handler: http.HandlerFunc(r.receive), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) receive(_ http.ResponseWriter, request *http.Request) {
	var message struct {
		Data struct {
			OrderID string
			Version int64
		}
	}
	if json.NewDecoder(request.Body).Decode(&message) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := request.Header.Get("Webhook-Id")
	if r.seen[id] {
		return
	}
	r.seen[id] = true
	order := request.URL.Path + message.Data.OrderID
	if message.Data.Version < r.latest[order] {
		r.late = append(r.late, id)
	}
	r.latest[order] = max(r.latest[order], message.Data.Version)
}

// register makes a webhook that sends all events to a path of the receiver.
func (r *run) register(ctx context.Context, to *receiver, via *instance, name string) error {
	return r.ask(ctx, http.MethodPost, via.url("/api/webhooks"), map[string]any{
		"url": to.url + "/" + name, "description": name,
	}, nil)
}

// received checks I16: every message is delivered in the end, and those of an order in sequence.
func (r *run) received(ctx context.Context, from *receiver) error {
	var pending int
	var err error
	r.expect(launch.Eventually(ctx, 4*time.Minute, func() bool { // a message that a dead process had taken is taken again
		pending, err = r.primary().number(ctx, "SELECT count(*) FROM millrace.webhook_deliveries WHERE state = 'pending'")
		return err == nil && pending == 0
	}), "%d messages are not delivered", pending)
	conn, err := r.primary().connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id FROM millrace.webhook_deliveries WHERE state = 'delivered'")
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	if err := from.server.Shutdown(ctx); err != nil { // before the lock, for which what still arrives waits
		return err
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	for _, id := range ids {
		if !from.seen[id.String()] {
			r.violated("I16", "message %s is delivered, and was never received", id)
		}
	}
	if len(from.late) > 0 {
		r.violated("I16", "out of their order's sequence: %s", strings.Join(from.late[:1], ""))
	}
	r.figure("messages", "%d", len(ids))
	r.expect(len(ids) > 0, "nothing was delivered")
	return nil
}
