package main

import (
	"context"
	"net/http"
	"time"
)

// newOrder is an order that is paid in a way.
func newOrder(paymentMethod string) map[string]any {
	return map[string]any{
		"customerId": "1", "currency": "USD", "paymentMethod": paymentMethod,
		"items": []map[string]any{{"productId": 1, "quantity": 2, "price": 29.99}},
	}
}

// load places orders at a rate until ctx ends, whatever becomes of them.
func (d *deployment) load(ctx context.Context, every time.Duration) {
	slots := make(chan struct{}, 64) // placements that wait for an answer
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case slots <- struct{}{}:
			go func() {
				defer func() { <-slots }()
				_ = d.ask(ctx, http.MethodPost, d.api.url("/api/orders"), newOrder("card_visa"), nil)
			}()
		default: // all wait
		}
	}
}

// pause has no job of a queue be worked any more, or again, as an operator does it in River UI.
func (d *deployment) pause(ctx context.Context, queue string, on bool) error {
	action := "resume"
	if on {
		action = "pause"
	}
	return d.ask(ctx, http.MethodPut, d.work.opsURL("/riverui/api/queues/"+queue+"/"+action), struct{}{}, nil)
}
