package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lastOf is the version of the event that puts the order of these tests at rest.
const lastOf = 7

func eventLine(version int) string {
	status := "processing"
	if version == lastOf {
		status = "completed"
	}
	return fmt.Sprintf(`id: %[1]d
event: OrderProcessingProgress
data: {"orderId":"%[2]s","version":%[1]d,"type":"OrderProcessingProgress","kind":"step_succeeded","status":"%[3]s",`+
		`"progress":%[1]d,"message":"m","timestamp":"2026-11-22T12:00:00Z"}

`, version, fakeID, status)
}

// begin starts a stream as the answer, and returns the version that the client asked for.
func begin(w http.ResponseWriter, r *http.Request) (after int) {
	after, _ = strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if after == lastOf {
		w.WriteHeader(http.StatusNoContent)
		return after
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send(w, "retry: 1\n\n")
	return after
}

func send(w http.ResponseWriter, text string) {
	_, _ = fmt.Fprint(w, text)
	_ = http.NewResponseController(w).Flush()
}

func sendEvents(w http.ResponseWriter, from, to int) {
	for v := from; v <= min(to, lastOf); v++ {
		send(w, eventLine(v))
	}
}

// requireAll follows the order and requires each event once and in order.
func requireAll(t *testing.T, c *Client, after int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got, want []int64
	for event, err := range c.Events(ctx, fakeID, after) {
		require.NoError(t, err)
		require.Equal(t, fakeID, event.OrderID)
		got = append(got, event.Version)
	}
	for v := after + 1; v <= lastOf; v++ {
		want = append(want, v)
	}
	require.Equal(t, want, got)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]func(n int, w http.ResponseWriter, r *http.Request){
		"Well": func(_ int, w http.ResponseWriter, r *http.Request) {
			sendEvents(w, begin(w, r)+1, lastOf)
		},
		"EndsEveryTwoEvents": func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			sendEvents(w, after+1, after+2)
		},
		"CutInEveryThirdEvent": func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			if after == lastOf {
				return
			}
			sendEvents(w, after+1, after+2)
			send(w, eventLine(after + 3)[:60])
			cut()
		},
		"SentTwice": func(_ int, w http.ResponseWriter, r *http.Request) {
			begin(w, r)
			sendEvents(w, 1, 3)
			sendEvents(w, 2, lastOf)
		},
		"OneLeftOut": func(n int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			sendEvents(w, after+1, after+1)
			if n < 4 {
				sendEvents(w, after+3, lastOf)
			}
		},
		"Garbage": func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			send(w, "data: {\n\ndata\n\nid: 99\ndata: []\n\n\x00\xff\nevent: OrderCreated\n\n:\n\nid: x\n\n")
			send(w, "event: FromTheFuture\ndata: {\"a\":1}\n\n")
			send(w, strings.ReplaceAll(eventLine(after+1), fakeID, "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7f"))
			send(w, "data: "+strings.Repeat("x", maxEventBytes+1)+"\n\n")
			sendEvents(w, after+1, lastOf)
		},
		"NewKindsAndFields": func(_ int, w http.ResponseWriter, r *http.Request) {
			for v := begin(w, r) + 1; v <= lastOf; v++ {
				send(w, strings.NewReplacer("step_succeeded", "teleported", `"message"`, `"new":{},"message"`,
					"OrderProcessingProgress", "OrderTeleported").Replace(eventLine(v)))
			}
		},
		"SlowHeartbeats": func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			for v := after + 1; v <= lastOf; v++ {
				for range 3 {
					send(w, ": heartbeat\n\n")
					<-time.After(5 * time.Millisecond)
				}
				send(w, eventLine(v))
			}
		},
		"Silence": func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			if after == lastOf {
				return
			}
			sendEvents(w, after+1, after+4)
			<-r.Context().Done() // until the client gives up
		},
		"DownFor20Requests": func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 && n < 22 {
				writeProblem(w, http.StatusServiceUnavailable, "unavailable")
				return
			}
			after := begin(w, r)
			sendEvents(w, after+1, after+3)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := misbehave(t, answer)
			WithRetry(3)(c)
			c.silence = 300 * time.Millisecond
			requireAll(t, c, 0)
		})
		t.Run(name+"After3", func(t *testing.T) {
			t.Parallel()
			c := misbehave(t, answer)
			c.silence = 300 * time.Millisecond
			requireAll(t, c, 3)
		})
	}
}

func TestEventsFail(t *testing.T) {
	t.Parallel()
	follow := func(t *testing.T, c *Client) (events int, err error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, err = range c.Events(ctx, fakeID, 0) {
			if err != nil {
				break
			}
			events++
		}
		require.NoError(t, ctx.Err(), "it ended by itself")
		return events, err
	}

	t.Run("NotFound", func(t *testing.T) {
		t.Parallel()
		_, err := follow(t, misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			writeProblem(w, http.StatusNotFound, "order_not_found")
		}))
		require.True(t, IsNotFound(err))
	})

	t.Run("TokenRevoked", func(t *testing.T) {
		t.Parallel()
		events, err := follow(t, misbehave(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n > 1 {
				writeProblem(w, http.StatusUnauthorized, "unauthorized")
				return
			}
			sendEvents(w, begin(w, r)+1, 2)
		}))
		require.Equal(t, 2, events)
		require.ErrorContains(t, err, "unauthorized")
	})

	t.Run("NeverThere", func(t *testing.T) {
		t.Parallel()
		c, err := New("http://127.0.0.1:1", WithRetry(1))
		require.NoError(t, err)
		_, err = follow(t, c)
		require.ErrorContains(t, err, "connection refused")
	})

	t.Run("Unreadable", func(t *testing.T) {
		t.Parallel()
		events, err := follow(t, misbehave(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			after := begin(w, r)
			if after == 0 {
				sendEvents(w, 1, 2)
			}
			send(w, "id: 3\ndata: {\n\n")
			sendEvents(w, 4, lastOf)
		}))
		require.Equal(t, 2, events)
		require.ErrorContains(t, err, "event 3 of order "+fakeID+" is not readable")
	})

	t.Run("Missing", func(t *testing.T) { // the events after a version were pruned
		t.Parallel()
		c := misbehave(t, func(_ int, w http.ResponseWriter, r *http.Request) { sendEvents(w, begin(w, r)+3, lastOf) })
		for _, err := range c.Events(t.Context(), fakeID, 2) {
			missing, ok := errors.AsType[*MissingEventError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, MissingEventError{OrderID: fakeID, Version: 3}, *missing)
		}
	})

	t.Run("NoStream", func(t *testing.T) {
		t.Parallel()
		_, err := follow(t, misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprint(w, "<h1>Sign in</h1>")
		}))
		require.ErrorContains(t, err, "no event stream")
	})

	t.Run("BadID", func(t *testing.T) {
		t.Parallel()
		c, err := New("http://127.0.0.1:1")
		require.NoError(t, err)
		for _, err := range c.Events(t.Context(), "1", 0) {
			require.ErrorContains(t, err, "is not a UUID")
			invalid, ok := errors.AsType[*InvalidIDError](err)
			require.True(t, ok)
			require.Equal(t, "1", invalid.ID)
		}
	})
}

// The first events of an order are pruned one day. Asking for all events then returns the remaining ones, even if a
// connection breaks. An unreadable event is not taken for a pruned one.
func TestEventsOfAnOldOrder(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(n int, w http.ResponseWriter, r *http.Request){
		"Whole": func(_ int, w http.ResponseWriter, r *http.Request) { sendEvents(w, max(begin(w, r)+1, 5), lastOf) },
		"Cut": func(_ int, w http.ResponseWriter, r *http.Request) {
			from := max(begin(w, r)+1, 5)
			sendEvents(w, from, from)
		},
		"Garbled": func(n int, w http.ResponseWriter, r *http.Request) {
			from := max(begin(w, r)+1, 5)
			if n == 1 {
				send(w, "id: 5\ndata: {\n\n")
				from++
			}
			sendEvents(w, from, lastOf)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int64
			for event, err := range misbehave(t, answer).Events(t.Context(), fakeID, 0) {
				require.NoError(t, err)
				got = append(got, event.Version)
			}
			require.Equal(t, []int64{5, 6, 7}, got)
		})
	}
}

// TestEventsLeft leaves streams by break and by the context: the server must see its request end.
func TestEventsLeft(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 2)
	c := misbehave(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		sendEvents(w, begin(w, r)+1, 2)
		<-r.Context().Done()
		left <- struct{}{}
	})
	for event, err := range c.Events(t.Context(), fakeID, 0) {
		require.NoError(t, err)
		require.Equal(t, int64(1), event.Version)
		break
	}
	<-left

	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for event, err := range c.Events(ctx, fakeID, 0) {
		if event.Version == 2 {
			cancel()
		}
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	<-left
	cancel()
}
