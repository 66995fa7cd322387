package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// fakeGateway behaves like Stripe as far as this adapter uses it. It remembers keys, holds and takes money, and can
// drop the connection afterwards.
type fakeGateway struct {
	mu      sync.Mutex
	answers map[string]reply // by idempotency key
	intents map[string]*intent
	refunds int
	lose    int // the number of next answers that are lost
	log     []string
}

type reply struct {
	status int
	body   map[string]any
}

type intent struct {
	status string
	amount int
}

func (g *fakeGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method == http.MethodGet {
		id := strings.TrimPrefix(r.URL.Path, "/v1/payment_intents/")
		write(w, done(id, g.intents[id].status))
		return
	}
	key := r.Header.Get("Idempotency-Key")
	answer, known := g.answers[key]
	if !known {
		answer = g.answer(r)
		g.answers[key] = answer
	}
	if g.lose > 0 {
		g.lose--
		panic(http.ErrAbortHandler)
	}
	write(w, answer)
}

func write(w http.ResponseWriter, answer reply) {
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body)
}

func (g *fakeGateway) answer(r *http.Request) reply {
	amount, _ := strconv.Atoi(r.FormValue("amount"))
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch r.URL.Path {
	case "/v1/payment_intents":
		if r.FormValue("payment_method") == "pm_card_chargeDeclined" {
			return failed(402, "card_declined")
		}
		id := fmt.Sprintf("pi_%d", len(g.intents)+1)
		g.intents[id] = &intent{"requires_capture", amount}
		g.log = append(g.log, "authorize "+r.FormValue("amount"))
		return done(id, "requires_capture")
	case "/v1/refunds":
		g.refunds++
		g.log = append(g.log, "refund "+r.FormValue("amount"))
		return done(fmt.Sprintf("re_%d", g.refunds), "succeeded")
	}
	pi := g.intents[parts[1]]
	if pi.status != "requires_capture" {
		return failed(400, "payment_intent_unexpected_state")
	}
	if parts[2] == "cancel" {
		pi.status = "canceled"
		g.log = append(g.log, "void")
		return done(parts[1], pi.status)
	}
	if n, _ := strconv.Atoi(r.FormValue("amount_to_capture")); n > pi.amount {
		return failed(400, "amount_too_large")
	}
	pi.status = "succeeded"
	g.log = append(g.log, "capture "+r.FormValue("amount_to_capture"))
	return done(parts[1], pi.status)
}

func (g *fakeGateway) expire(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.intents[id].status = "canceled"
}

func done(id, status string) reply { return reply{200, map[string]any{"id": id, "status": status}} }

func failed(status int, code string) reply {
	return reply{status, map[string]any{"error": map[string]any{"code": code}}}
}
