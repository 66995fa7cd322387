package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/client/oas"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w http.ResponseWriter){
		"CutBeforeTheAnswer": func(http.ResponseWriter) { cut() },
		"CutInTheAnswer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			_, _ = fmt.Fprint(w, fakeOrder[:100])
			_ = http.NewResponseController(w).Flush()
			cut()
		},
		"Unavailable":    func(w http.ResponseWriter) { writeProblem(w, http.StatusServiceUnavailable, "unavailable") },
		"RateLimited":    func(w http.ResponseWriter) { writeProblem(w, http.StatusTooManyRequests, "rate_limited") },
		"RequestTimeout": func(w http.ResponseWriter) { writeProblem(w, http.StatusRequestTimeout, "request_timeout") },
		"Internal":       func(w http.ResponseWriter) { writeProblem(w, http.StatusInternalServerError, "internal_error") },
		"ProxyInHTML": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprint(w, "<h1>Bad Gateway</h1>")
		},
		"ProxyInJSON": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = fmt.Fprint(w, `{"message":"Bad Gateway"}`)
		},
	}
	for name, fail := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, bodies := map[string]int{}, map[string]int{}
			c := misbehave(t, func(n int, w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				keys[r.Header.Get("Idempotency-Key")]++
				bodies[string(body)]++
				if n <= 2 {
					fail(w)
					return
				}
				w.Header().Set("Idempotency-Replayed", "true")
				writeOrder(w)
			})
			order, err := c.Place(t.Context(), someOrder())
			require.NoError(t, err)
			require.True(t, order.Replayed)
			require.Len(t, keys, 1, "one key for all attempts")
			require.NotContains(t, keys, "")
			require.Len(t, bodies, 1, "and one body")
			for _, sent := range []map[string]int{keys, bodies} {
				for _, times := range sent {
					require.Equal(t, 3, times)
				}
			}
		})
	}
}

func TestNoRetry(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 409, 412, 422, 501} {
		requests := 0
		c := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			requests++
			writeProblem(w, status, "code")
		})
		_, err := c.Place(t.Context(), someOrder())
		var problem *Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, &Problem{Status: status, Code: "code", RequestID: "r-1"}, problem)
		require.Same(t, problem, err, "and nothing around it")
		require.Equal(t, 1, requests, "%d", status)
		require.Equal(t, status == 404, IsNotFound(err))
		require.Equal(t, status == 409, IsConflict(err))
		require.Equal(t, status == 412, IsStale(err))
		require.False(t, IsRateLimited(err))
	}
}

func TestForeignProblem(t *testing.T) {
	t.Parallel()
	c := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "r-2")
		http.Error(w, "<h1>Not here</h1>", http.StatusNotFound)
	})
	_, err := c.Order(t.Context(), fakeID)
	require.Equal(t, &Problem{Status: http.StatusNotFound, RequestID: "r-2"}, err)
	require.EqualError(t, err, "404 Not Found")
}

func TestRetryIsBounded(t *testing.T) {
	t.Parallel()
	requests := 0
	c := misbehave(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		requests = n
		writeProblem(w, http.StatusTooManyRequests, "rate_limited")
	})
	WithRetry(3)(c)
	_, err := c.Order(t.Context(), fakeID)
	require.True(t, IsRateLimited(err))
	require.Equal(t, 4, requests)

	WithRetry(0)(c)
	_, err = c.Order(t.Context(), fakeID)
	require.True(t, IsRateLimited(err))
	require.Equal(t, 5, requests)

	WithRetry(1_000_000)(c)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Order(ctx, fakeID)
	require.Error(t, err, "the context bounds it")
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var first time.Time
	retryAfter := "1"
	c := misbehave(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			first = time.Now()
		}
		if n == 2 && retryAfter == "1" {
			writeOrder(w)
			return
		}
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, http.StatusServiceUnavailable, "unavailable")
	})
	_, err := c.Place(t.Context(), someOrder())
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(first), time.Second)

	deadline, stop := context.WithTimeout(t.Context(), 50*time.Second)
	defer stop()
	patient, stop := context.WithCancel(t.Context())
	defer stop()
	time.AfterFunc(50*time.Second, stop)
	for header, ctx := range map[string]context.Context{"59": deadline, "3600": patient} {
		retryAfter = header
		_, err = c.Place(ctx, someOrder())
		var problem *Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, header, fmt.Sprint(int(problem.RetryAfter.Seconds())))
		require.NoError(t, ctx.Err(), "it does not wait for what it cannot get")
	}
	for _, header := range []string{"2147483648", "9223372036854775808", "99999999999999999999999"} {
		retryAfter = header
		_, err = c.Place(patient, someOrder())
		var problem *Problem
		require.ErrorAs(t, err, &problem)
		require.GreaterOrEqual(t, problem.RetryAfter, time.Duration(1<<31)*time.Second, header)
		require.NoError(t, patient.Err(), "it does not try again at once")
	}
	require.Equal(t, time.Duration(0), parseRetryAfter("soon"))
	at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	require.InDelta(t, time.Hour, parseRetryAfter(at), float64(2*time.Second))
}

// After 101 the connection speaks another protocol: it is a failure, and nothing is read.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	c := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	})
	_, err := c.Order(t.Context(), fakeID)
	var problem *Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, http.StatusSwitchingProtocols, problem.Status)
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempt := range 100 {
		var longest time.Duration
		for range 1000 {
			longest = max(longest, backoff(attempt))
		}
		limit := lastBackoff
		if attempt < 5 {
			limit = firstBackoff << attempt
		}
		require.LessOrEqual(t, longest, limit, "attempt %d", attempt)
		require.Greater(t, longest, limit/2, "attempt %d", attempt)
	}
}

func TestHungServer(t *testing.T) {
	t.Parallel()
	c := misbehave(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			_, _ = io.ReadAll(r.Body)
			<-r.Context().Done()
			return
		}
		writeOrder(w)
	})
	c.transport.timeout = 50 * time.Millisecond
	WithRetry(1000)(c) // a slow machine's answers may come too late as well
	_, err := c.Place(t.Context(), someOrder())
	require.NoError(t, err)
}

func TestServerMissing(t *testing.T) {
	t.Parallel()
	c, err := New("http://127.0.0.1:1", WithRetry(2))
	require.NoError(t, err)
	_, err = c.Order(t.Context(), fakeID)
	require.ErrorContains(t, err, "connection refused")

	for _, url := range []string{"", "orders.example.com", "ftp://orders.example.com", "http://[", "http://"} {
		_, err := New(url)
		require.Error(t, err, url)
	}
	_, err = c.Order(t.Context(), "../admin")
	require.ErrorContains(t, err, "is not a UUID")
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got http.Header
	var body string
	c := misbehave(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r.Header.Clone(), string(b)
		writeOrder(w)
	})
	WithUserAgent("shop/1")(c)
	order := someOrder()
	order.Items[0].Price = MustAmount("9007199254740993.01") // a float64 cannot hold it
	order.Total = &order.Items[0].Price
	placed, err := c.Place(t.Context(), order, WithIdempotencyKey("k"), WithHeader("X-Tenant", "7"))
	require.NoError(t, err)
	require.Equal(t, "9007199254740993.01", placed.Total.String())
	require.Equal(t, 2, strings.Count(body, ":9007199254740993.01"), body)
	require.NotContains(t, body, "currency", "what is empty is not sent")
	require.Equal(t, "Bearer secret", got.Get("Authorization"))
	require.Equal(t, "shop/1 millrace-go", got.Get("User-Agent"))
	require.Equal(t, "k", got.Get("Idempotency-Key"))
	require.Equal(t, "7", got.Get("X-Tenant"))

	_, err = c.Cancel(t.Context(), fakeID, WithIfMatch(4))
	require.NoError(t, err)
	require.Equal(t, `"4"`, got.Get("If-Match"))
	require.NotEmpty(t, got.Get("Idempotency-Key"), "every call that changes something has one")

	WithToken("")(c)
	_, err = c.API().PlaceOrder(t.Context(), order.placement(), oas.PlaceOrderParams{})
	require.NoError(t, err)
	require.Empty(t, got.Values("Authorization"), "an open server is not shown an empty token")
	require.NotEmpty(t, got.Get("Idempotency-Key"))
}
