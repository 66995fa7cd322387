package baseline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// providers calls the four providers of docs/providers.md.
type providers struct {
	base   string
	client *http.Client
}

func newProviders(base string) *providers {
	return &providers{base, &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}}
}

// step is one call of an order's saga. Its key consists of the order's id and the step's name, so that a repeat is
// harmless.
type step struct {
	name string
	path string
	body func(o Order) map[string]any
}

func key(o Order, name string) string { return o.ID.String() + ":" + name }

// The steps are Millrace's, with the same bodies.
func authorize() step {
	return step{"authorize_payment", "/payments/authorizations", func(o Order) map[string]any {
		return map[string]any{"amount": o.cents(), "currency": "USD", "paymentMethod": o.PaymentMethod}
	}}
}

func reserve() step {
	return step{"reserve_inventory", "/inventory/reservations", func(o Order) map[string]any {
		return map[string]any{"items": o.Items, "currency": "USD"}
	}}
}

func quote() step {
	return step{"quote_shipping", "/shipping/quotes", func(o Order) map[string]any {
		return map[string]any{"items": o.Items, "currency": "USD", "address": nil}
	}}
}

func capture() step {
	return step{"capture_payment", "/payments/captures", func(o Order) map[string]any {
		return map[string]any{"amount": o.cents(), "currency": "USD", "authorizationKey": key(o, authorize().name)}
	}}
}

func ship() step {
	return step{"book_shipment", "/shipping/shipments", func(o Order) map[string]any {
		return map[string]any{"quoteKey": key(o, quote().name), "address": nil}
	}}
}

func email() step {
	return step{"send_email", "/email/messages", func(o Order) map[string]any {
		return map[string]any{"template": "order_completed", "amount": o.cents(), "currency": "USD", "reason": ""}
	}}
}

// call carries a step out and returns the provider's reference.
func (p *providers) call(ctx context.Context, o Order, s step) (string, error) {
	body := s.body(o)
	body["orderId"], body["customerId"] = o.ID, o.CustomerID
	encoded, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+s.path, bytes.NewReader(encoded))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key(o, s.name))
	response, err := p.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.name, err)
	}
	if response.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s: answered %s: %s", s.name, response.Status, answer)
	}
	var done struct{ ID string }
	return done.ID, json.Unmarshal(answer, &done)
}

// atOnce carries out steps in parallel.
func atOnce(ctx context.Context, steps []step, do func(ctx context.Context, s step) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range steps {
		group.Go(func() error { return do(ctx, s) })
	}
	return group.Wait()
}
