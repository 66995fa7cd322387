package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	fakeID    = "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"
	fakeOrder = `{"orderId":"` + fakeID + `","customerId":"1","status":"pending","message":"m","progress":0,
		"currency":"USD","total":9007199254740993.01,"refunded":0.00,
		"items":[{"productId":1,"quantity":1,"price":9007199254740993.01}],
		"steps":[],"version":1,"createdAt":"2026-11-22T12:00:00Z","updatedAt":"2026-11-22T12:00:00Z","newField":1}`
)

// misbehave makes a client of a server that answers the nth request, from 1, as the test demands.
func misbehave(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *Client {
	t.Helper()
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(int(requests.Add(1)), w, r)
	}))
	t.Cleanup(server.Close)
	c, err := New(server.URL, WithToken("secret"))
	require.NoError(t, err)
	c.transport.backoff = func(int) time.Duration { return time.Millisecond }
	return c
}

func writeOrder(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprint(w, fakeOrder)
}

func writeProblem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"about:blank","title":"t","status":%d,"code":%q,"requestId":"r-1"}`, status, code)
}

// cut ends the connection in the middle of the answer.
func cut() { panic(http.ErrAbortHandler) }

func someOrder() NewOrder {
	return NewOrder{CustomerID: "1", Items: []Item{{ProductID: 1, Quantity: 1, Price: MustAmount("29.99")}}}
}
