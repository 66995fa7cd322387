package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
)

// TestShares: a caller that takes all it can get of a shared resource leaves some for a second caller, and the second
// leaves some for a third.
func TestShares(t *testing.T) {
	t.Parallel()
	open := func(h held) int { return h.gauge("millrace_streams") }
	exporting := func(h held) int { return h.gauge("millrace_http_requests_in_flight") }
	answering := func(h held) int { return int(h.answering.Load()) }
	for _, tt := range []struct {
		name   string
		change func(*api.Config)
		// hold takes one more and keeps it; use asks for one.
		hold    func(h held)
		use     func(h held) answer
		shares  []int            // how many each of three callers gets
		holding func(h held) int // how many there are
		code    string
	}{
		{
			name:   "Streams",
			change: func(c *api.Config) { c.MaxStreams, c.MaxStreamsEach = 8, -1 },
			hold: func(h held) {
				require.Equal(h.t, http.StatusOK, h.h.follow(h.t, "/api/events", h.key...).StatusCode)
			},
			use: func(h held) answer {
				return h.begin("/api/events", h.key...)
			},
			shares: []int{4, 2, 1}, holding: open, code: "too_many_streams",
		},
		{
			name:   "TicketsForManyCustomers",
			change: func(c *api.Config) { c.MaxStreams = 8 },
			hold: func(h held) {
				ticket := h.h.ticket(h.t, fmt.Sprintf(`{"customerId":"%d"}`, time.Now().UnixNano()), h.key...)
				require.Equal(h.t, http.StatusOK, h.h.follow(h.t, "/api/events?ticket="+ticket).StatusCode)
			},
			use: func(h held) answer {
				ticket := h.h.ticket(h.t, `{"customerId":"another"}`, h.key...)
				return h.begin("/api/events?ticket=" + ticket)
			},
			shares: []int{4, 2, 1}, holding: open, code: "too_many_streams",
		},
		{
			name:   "LongPolls",
			change: func(c *api.Config) { c.MaxStreams, c.MaxStreamsEach = 8, -1 },
			hold:   func(h held) { h.background("/api/events?after=end&wait=30") },
			use:    func(h held) answer { return h.h.do(h.t, http.MethodGet, "/api/events?after=end&wait=1", "", h.key...) },
			shares: []int{4, 2, 1}, holding: open, code: "too_many_streams",
		},
		{
			name:   "Waits", // a preference: what is refused is the wait, not the order
			change: func(c *api.Config) { c.MaxStreams = 8 },
			hold: func(h held) {
				p := h.h.placeWaiting(h.t, append(h.key, "Prefer", "wait=30")...)
				*h.later = append(*h.later, func() { p.soon() })
			},
			use: func(h held) answer {
				got := h.h.do(h.t, http.MethodPost, "/api/orders", seedBody, append(h.key, "Prefer", "wait=1")...)
				require.Equal(h.t, http.StatusAccepted, got.status, got.body)
				return got
			},
			shares: []int{4, 2, 1}, holding: open,
		},
		{
			name: "Requests", change: func(c *api.Config) { c.MaxInFlight = 9 },
			hold:   func(h held) { h.background("/api/system/status") },
			use:    func(h held) answer { return h.h.do(h.t, http.MethodGet, "/api/orders", "", h.key...) },
			shares: []int{5, 2, 1}, holding: answering, code: "too_many_in_flight",
		},
		{
			name: "Exports", change: func(c *api.Config) { c.SlowReader = time.Hour },
			hold: func(h held) {
				r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.h.URL+"/api/orders/export", nil)
				require.NoError(h.t, err)
				r.Header.Set(h.key[0], h.key[1])
				response, err := h.h.Client().Do(r)
				require.NoError(h.t, err)
				require.Equal(h.t, http.StatusOK, response.StatusCode)
				h.t.Cleanup(func() { response.Body.Close() })
			},
			use: func(h held) answer {
				return h.h.do(h.t, http.MethodGet, "/api/orders/export?customerId=none", "", h.key...)
			},
			shares: []int{4, 2, 1}, holding: exporting, code: "too_many_exports",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var release func()
			answering := new(atomic.Int64)
			h := live(t, tt.change, func(c *api.Config) {
				c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
				release = occupied(c)
				blocked := c.Breakers
				c.Breakers = func() map[string]string {
					answering.Add(1)
					return blocked()
				}
			})
			t.Cleanup(release)
			if tt.name == "Exports" {
				manyOrders(t, h.pool, 2000, time.Now().Add(-time.Hour))
				narrow(t, h, 1)
			}
			taken := 0
			var later []func()
			for _, share := range tt.shares {
				caller := held{h, t, []string{"Authorization", "Bearer " + h.key(t, roles.Admin)}, answering, &later}
				for range share {
					tt.hold(caller)
					taken++
					require.Eventually(t, func() bool { return tt.holding(caller) == taken },
						time.Minute, time.Millisecond)
				}
				got := tt.use(caller)
				if tt.code == "" {
					require.Empty(t, got.header.Get("Preference-Applied"))
					continue
				}
				require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
				require.Equal(t, tt.code, got.problem(t).Code)
				require.NotEmpty(t, got.header.Get("Retry-After"))
			}
			h.api.Drain()
			for _, f := range later {
				f()
			}
		})
	}
}

// held is a caller that holds slots, with its header, and what is to be done when all is released.
type held struct {
	h   *harness
	t   *testing.T
	key []string

	answering *atomic.Int64 // requests for the status under way
	later     *[]func()
}

// gauge reads a metric.
func (h held) gauge(name string) (n int) {
	_, after, found := strings.Cut(h.h.metrics(h.t), "\n"+name+" ")
	require.True(h.t, found)
	_, err := fmt.Sscan(after, &n)
	require.NoError(h.t, err)
	return n
}

// background sends a request that is answered after a while, perhaps when the test has ended.
func (h held) background(path string) {
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.h.URL+path, nil)
	require.NoError(h.t, err)
	r.Header.Set(h.key[0], h.key[1])
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := h.h.Client().Do(r); err == nil {
			response.Body.Close()
		}
	}()
	h.t.Cleanup(func() { <-done })
}

// begin asks for a stream, and reads it only if it is none.
func (h held) begin(path string, header ...string) answer {
	stream := h.h.follow(h.t, path, header...)
	got := answer{status: stream.StatusCode, header: stream.Header}
	if got.status != http.StatusOK {
		body, err := io.ReadAll(stream.Body)
		require.NoError(h.t, err)
		got.body = string(body)
	}
	return got
}
