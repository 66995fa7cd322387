package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// attempt is one placement that was sent, and whether it was answered with 2xx.
type attempt struct {
	sent, answered time.Time
	accepted       bool
	why            string // it was not
}

// customers place orders at a rate, whatever becomes of earlier ones, and repeat each under its key until it is
// accepted. Their ledger is what they were told.
type customers struct {
	*shop

	mu       sync.Mutex
	attempts []attempt
	accepted map[string]string // ids by key
	keys     int
	doubled  []string // keys that were answered with two ids
}

// run returns when ctx has ended and every order is accepted, or until the second ctx ends.
func (c *customers) run(placing, repeating context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		select {
		case <-placing.Done():
			return
		case <-ticker.C:
			c.mu.Lock()
			c.keys++
			key := fmt.Sprintf("order-%d", c.keys)
			c.mu.Unlock()
			all.Go(func() { c.place(repeating, key) })
		}
	}
}

// place places one order. It sends each tenth accepted placement again: the answer must be the same order.
func (c *customers) place(ctx context.Context, key string) {
	for {
		a := attempt{sent: time.Now()}
		var order struct {
			ID string `json:"orderId"`
		}
		status, text, err := c.send(ctx, http.MethodPost, c.base+"/api/orders", key, map[string]any{
			"customerId": "1", "paymentMethod": "card_visa",
			"items": []map[string]any{{"productId": 1, "quantity": 1, "price": json.Number("29.99")}},
		})
		a.answered = time.Now()
		switch {
		case err != nil:
			a.why = err.Error()
		case status/100 != 2 || json.Unmarshal(text, &order) != nil:
			a.why = fmt.Sprintf("status %d: %s", status, text)
		default:
			a.accepted = true
		}
		if again := c.note(key, order.ID, a); !again || launch.Pause(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

// note writes an attempt into the ledger. It reports whether the placement is sent again.
func (c *customers) note(key, id string, a attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = append(c.attempts, a)
	if !a.accepted {
		return true
	}
	before, told := c.accepted[key]
	if told && before != id {
		c.doubled = append(c.doubled, key)
	}
	c.accepted[key] = id
	return !told && len(c.accepted)%10 == 0
}

// since returns the attempts that were answered after a moment.
func (c *customers) since(at time.Time) (list []attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.attempts {
		if a.answered.After(at) {
			list = append(list, a)
		}
	}
	return list
}

// ids returns the orders that customers were told of.
func (c *customers) ids() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.accepted {
		ids = append(ids, id)
	}
	return ids
}

// send sends one request, and never a second one by itself, which the ledger would not have.
func (s *shop) send(ctx context.Context, method, url, key string, body any) (status int, text []byte, err error) {
	var b []byte
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}
