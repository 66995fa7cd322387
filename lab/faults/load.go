package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// script is the behaviour of one customer. All of it is drawn from the seed before the run begins.
type script struct {
	key     string
	after   time.Duration // the start of the run
	body    map[string]any
	cancel  time.Duration // after the order was placed; 0: never
	refund  string        // amount to request back once the order is completed; empty: none
	patient bool          // reads the order until it is at rest
	twice   bool          // repeats every request after its answer
}

// load is the number of customers and their behaviour. Shares are 0 to 1.
type load struct {
	orders                                    int
	rate                                      float64 // per second, whatever the state of earlier customers
	declined, outOfStock, cancelled, refunded float64
	cancelWithin                              time.Duration // default 200 ms
	body                                      map[string]any
}

// usual returns a load with all ends of an order.
func usual(orders int, rate float64) load {
	return load{orders: orders, rate: rate, declined: 0.1, outOfStock: 0.05, cancelled: 0.15, refunded: 0.1}
}

func (l load) scripts(random *rand.Rand) []script {
	scripts := make([]script, l.orders)
	gap := time.Duration(float64(time.Second) / l.rate)
	within := l.cancelWithin
	if within == 0 {
		within = 200 * time.Millisecond
	}
	for i := range scripts {
		s := script{
			key: fmt.Sprintf("order-%d", i), after: time.Duration(i) * gap,
			body: map[string]any{
				"customerId": fmt.Sprintf("customer-%d", random.IntN(20)),
				"items": []map[string]any{
					{"productId": 1, "quantity": 2, "price": json.Number("29.99")},
					{"productId": 2, "quantity": 1, "price": json.Number("149.99")},
				},
			},
		}
		maps.Copy(s.body, l.body)
		switch dice := random.Float64(); {
		case dice < l.declined:
			s.body["paymentMethod"] = "card_declined"
		case dice < l.declined+l.outOfStock:
			s.body["items"] = []map[string]any{{"productId": 9999, "quantity": 1, "price": json.Number("1.00")}}
		case dice < l.declined+l.outOfStock+l.cancelled:
			s.cancel = 1 + time.Duration(random.Int64N(int64(within)))
		case dice < l.declined+l.outOfStock+l.cancelled+l.refunded:
			s.refund, s.patient = "9.97", true
		}
		scripts[i] = s
	}
	return scripts
}

// customers send requests to any instance, and repeat each under the same key until it is answered.
type customers struct {
	*deployment
	journal  *journal
	random   *rand.Rand
	mu       sync.Mutex // guards random
	patience time.Duration
	via      *instance // the only instance to use; nil: any
}

// run starts all scripts at their times. It returns when each customer has finished or given up.
func (c *customers) run(ctx context.Context, scripts []script) {
	start := time.Now()
	var all sync.WaitGroup
	for _, s := range scripts {
		if !pause(ctx, time.Until(start.Add(s.after))) {
			break
		}
		all.Go(func() { c.follow(ctx, s) })
	}
	all.Wait()
}

func (c *customers) follow(ctx context.Context, s script) {
	place := operation{Kind: opPlace, Order: s.key, Key: s.key}
	placed := c.send(ctx, place, "/api/orders", s.body)
	if !placed.accepted() {
		return
	}
	if s.twice {
		c.send(ctx, place, "/api/orders", s.body)
	}
	path := "/api/orders/" + placed.ID
	if s.cancel > 0 {
		pause(ctx, s.cancel)
		cancel := operation{Kind: opCancel, Order: s.key, Key: "cancel-" + s.key}
		if answered := c.send(ctx, cancel, path+"/cancel", nil); s.twice && answered.accepted() {
			c.send(ctx, cancel, path+"/cancel", nil)
		}
	}
	if !s.patient {
		return
	}
	var o answer
	if !launch.Eventually(ctx, c.patience, func() bool {
		return c.ask(ctx, http.MethodGet, c.target().url(path), nil, &o) == nil && atRest(o.Status)
	}) || o.Status != "completed" {
		return
	}
	c.send(ctx, operation{Kind: opRefund, Order: s.key, Key: "refund-" + s.key}, path+"/refunds",
		map[string]any{"amount": json.Number(s.refund)})
}

func (c *customers) target() *instance {
	if c.via != nil {
		return c.via
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.any(c.random)
}

// send makes attempts under one key until one is answered, and writes each into the journal.
func (c *customers) send(ctx context.Context, o operation, path string, body any) operation {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	for {
		attempt := o
		attempt.Call = c.journal.now()
		attempt.Code, attempt.answer, attempt.Replayed = c.attempt(ctx, c.target().url(path), o.Key, body)
		attempt.Return = c.journal.now()
		c.journal.write(attempt)
		if attempt.answered() {
			return attempt
		}
		c.mu.Lock()
		wait := 50*time.Millisecond + time.Duration(c.random.Int64N(int64(300*time.Millisecond)))
		c.mu.Unlock()
		if !pause(ctx, wait) {
			return attempt
		}
	}
}

// attempt is one POST; status 0 means that no answer came.
func (c *customers) attempt(
	ctx context.Context, url, key string, body any,
) (status int, a answer, replayed bool) {
	var b []byte
	if body != nil {
		b, _ = json.Marshal(body) // it has maps of strings and numbers only
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return 0, a, false
	}
	request.Header.Set("Idempotency-Key", key)
	request.GetBody = nil // otherwise the transport repeats sends that the journal does not see
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, a, false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, a, false
	}
	if response.StatusCode/100 == 2 && json.Unmarshal(text, &a) != nil {
		return 0, a, false
	}
	return response.StatusCode, a, response.Header.Get("Idempotency-Replayed") == "true"
}

func atRest(status string) bool { return status != "pending" && status != "processing" && status != "" }
