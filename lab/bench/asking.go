package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest" //nolint:depguard // a receiver of webhooks: a laboratory is not a product
	"strings"
	"time"
)

// asked is a request that is sent for the sake of the queries that it causes.
type asked struct{ method, path, header, body string }

// ask sends requests, and fails if an answer reports an error of the server.
func (c *connection) ask(token string, requests ...asked) ([]byte, error) {
	var last []byte
	for _, r := range requests {
		if token != "" {
			r.header += "Authorization: Bearer " + token + "\r\n"
		}
		if r.body != "" {
			r.header += "Content-Type: application/json\r\n"
		}
		status, body, err := c.exchange(fmt.Appendf(nil,
			"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %d\r\n\r\n%s",
			r.method, r.path, r.header, len(r.body), r.body))
		if err != nil || status >= http.StatusBadRequest && status != http.StatusNotFound && status != http.StatusConflict {
			return nil, fmt.Errorf("%s %s: %d %s: %w", r.method, r.path, status, body, err)
		}
		last = body
	}
	return last, nil
}

// askWebhooks makes a webhook, has it hear of orders, and changes it in every way.
func askWebhooks(ctx context.Context, c *connection, place func(until time.Time) error) error {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer receiver.Close()
	create := func(path string) (string, error) {
		body, err := c.ask("", asked{
			"POST", "/api/webhooks", "Idempotency-Key: " + path + "\r\n",
			fmt.Sprintf(`{"url":%q}`, receiver.URL+path),
		})
		if err != nil {
			return "", err
		}
		var made struct{ WebhookID string }
		return made.WebhookID, json.Unmarshal(body, &made)
	}
	well, err := create("/well")
	if err != nil {
		return err
	}
	if _, err := create("/gone"); err != nil {
		return err
	}
	if err := place(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if err := pause(ctx, 3*time.Second); err != nil {
		return err
	}
	hook := "/api/webhooks/" + well
	body, err := c.ask("", asked{
		"POST", "/api/webhooks", "Idempotency-Key: /well\r\n", fmt.Sprintf(`{"url":%q}`, receiver.URL+"/well"),
	},
		asked{method: "GET", path: "/api/webhooks"}, asked{method: "GET", path: hook},
		asked{method: "POST", path: hook + "/ping"}, asked{method: "GET", path: hook + "/deliveries?state=delivered"},
		asked{method: "GET", path: hook + "/deliveries?limit=1"})
	if err != nil {
		return err
	}
	var list struct{ Deliveries []struct{ DeliveryID string } }
	if err := json.Unmarshal(body, &list); err != nil || len(list.Deliveries) == 0 {
		return fmt.Errorf("no delivery in %s: %w", body, err)
	}
	delivery := hook + "/deliveries/" + list.Deliveries[0].DeliveryID
	_, err = c.ask("", asked{method: "GET", path: delivery}, asked{method: "POST", path: delivery + "/redeliver"},
		asked{
			"POST", hook + "/redeliver", "",
			fmt.Sprintf(`{"since":%q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)),
		},
		asked{"PATCH", hook, "", `{"description":"changed"}`},
		asked{"POST", hook + "/secret", "", `{"previousValidSeconds":60}`},
		asked{"DELETE", hook, "", ""},
		// A webhook with many messages.
		asked{method: "GET", path: "/api/webhooks/00000000-0000-7000-8000-000000000002/deliveries?state=failed"},
		asked{method: "GET", path: "/api/webhooks/00000000-0000-7000-8000-000000000001/deliveries"},
		asked{method: "GET", path: "/api/dead-letters"}, asked{method: "GET", path: "/api/dead-letters/orders"},
		asked{
			"POST", "/api/dead-letters/redrive", "Idempotency-Key: redrive\r\n",
			`{"reason":"benchmark","ratePerSecond":100}`,
		},
		asked{method: "GET", path: "/api/reconciliation"}, asked{method: "GET", path: "/api/reconciliation?state=resolved"},
		asked{method: "GET", path: "/api/events?limit=100"})
	return err
}

// askWithKeys reads as callers that may see a part only.
func (b *bench) askWithKeys(ctx context.Context, d *database, p *process) error {
	conn, err := dial(ctx, p.API)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, args := range [][]string{{"--role", "customer", "--customer", "17"}, {"--role", "service"}} {
		key, err := b.command(ctx, d, append([]string{"keys", "create", "--name", "bench"}, args...)...)
		if err != nil {
			return err
		}
		token := strings.TrimSpace(key)
		body, err := conn.ask(token, asked{method: "GET", path: "/api/webhooks"}, asked{method: "GET", path: "/api/orders"},
			asked{method: "GET", path: "/api/notifications"}, asked{"POST", "/api/stream-tickets", "", `{}`})
		if err != nil {
			return err
		}
		var ticket struct{ Ticket string }
		if err := json.Unmarshal(body, &ticket); err != nil {
			return err
		}
		stream, err := dial(ctx, p.API) // a connection that streams answers no other request
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(stream,
			"GET /api/events?ticket=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", ticket.Ticket)
		if err == nil {
			err = pause(ctx, time.Second)
		}
		_ = stream.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// pause waits; it fails if the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
