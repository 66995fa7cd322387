package upstream_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

// Whatever goes wrong on the way, the outcome is unknown and the reason is in our words.
func TestLostAnswers(t *testing.T) {
	t.Parallel()

	hijack := func(w http.ResponseWriter, r *http.Request, write string) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, write)
			_ = conn.Close()
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		reason  string
	}{
		"closed without an answer": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, r, "")
		}, "connection lost"},
		"not HTTP": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, r, "hunter2 hunter2\r\n\r\n")
		}, "connection lost"},
		"half a body": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, r, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":\"hunter2\"}")
		}, "connection lost"},
		"half a chunked body": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, r, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"id\":\"hunter2\"}\r\n")
		}, "connection lost"},
		"huge header": {func(w http.ResponseWriter, r *http.Request) {
			hijack(w, r, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")
		}, "connection lost"},
		"switches protocols": {func(w http.ResponseWriter, r *http.Request) {
			switchProtocols(w, r, "101 Switching Protocols")
		}, "status 101"},
		"interim": {func(w http.ResponseWriter, r *http.Request) {
			switchProtocols(w, r, "102 Processing")
		}, "status 102"},
		"unknown interim": {func(w http.ResponseWriter, r *http.Request) {
			switchProtocols(w, r, "199 Hm")
		}, "status 199"},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, "no answer in time"},
		"hangs in the body": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"id":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "no answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			patience := time.Minute
			if test.reason == "no answer in time" {
				patience = 300 * time.Millisecond
			}
			c := serve(t, upstream.Config{Timeout: patience}, test.handler)
			reference, err := authorize(t, c)
			require.Empty(t, reference)
			var unavailable *upstream.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			require.Equal(t, orders.Payment, unavailable.Provider)
			require.Equal(t, test.reason, unavailable.Reason)
		})
	}
}

// switchProtocols answers with an interim status, and then with nothing for as long as the client stays.
func switchProtocols(w http.ResponseWriter, r *http.Request, status string) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

// 100 and 103 are part of ordinary HTTP.
func TestHarmlessInterimAnswers(t *testing.T) {
	t.Parallel()

	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusContinue)
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, `{"id":"1"}`)
	})
	reference, err := authorize(t, c)
	require.NoError(t, err)
	require.Equal(t, "1", reference)
}

// A body that ignores the call's context is closed at the call's deadline, with any transport.
func TestBodiesHaveADeadline(t *testing.T) {
	t.Parallel()

	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	c, err := upstream.New(upstream.Config{
		URLs: urls("http://localhost"), Timeout: 50 * time.Millisecond,
		Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: reader}, nil
		}),
	})
	require.NoError(t, err)
	_, err = authorize(t, c)
	require.EqualError(t, err, "payment unavailable: no answer in time")
}

func TestCannotConnect(t *testing.T) {
	t.Parallel()

	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := upstream.New(upstream.Config{URLs: urls(server.URL)})
	require.NoError(t, err)
	_, err = authorize(t, c)
	require.EqualError(t, err, "payment unavailable: cannot connect: connect: connection refused")

	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = discard()
	secure.StartTLS()
	t.Cleanup(secure.Close)
	c, err = upstream.New(upstream.Config{URLs: urls(secure.URL)})
	require.NoError(t, err)
	_, err = authorize(t, c)
	require.EqualError(t, err, "payment unavailable: certificate is not trusted")
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()

	var calls atomic.Int32
	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := authorize(t, c)
	var misconfigured *upstream.MisconfiguredError
	require.ErrorAs(t, err, &misconfigured)
	require.Equal(t, http.StatusTemporaryRedirect, misconfigured.Status)
	require.Equal(t, int32(1), calls.Load())
}

// With GetBody set, net/http would send again on each kept-alive connection: see client.request.
func TestOnePOSTPerSend(t *testing.T) {
	t.Parallel()

	const warm = 4
	var posts atomic.Int32
	var drop atomic.Bool
	all := make(chan struct{})
	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		n := posts.Add(1)
		if drop.Load() {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
			return
		}
		if n == warm {
			close(all)
		}
		<-all // so that each has a connection
		_, _ = io.WriteString(w, `{"id":"1"}`)
	})
	done := make(chan error, warm)
	for range warm {
		go func() {
			_, err := authorize(t, c)
			done <- err
		}()
	}
	for range warm {
		require.NoError(t, <-done)
	}

	drop.Store(true)
	posts.Store(0)
	_, err := authorize(t, c)
	require.ErrorContains(t, err, "connection lost")
	require.Equal(t, int32(1), posts.Load())
}

// deadline is a context whose deadline passes when a test says so, however fast the machine is.
type deadline struct {
	context.Context
	passed chan struct{}
}

func newDeadline() deadline { return deadline{context.Background(), make(chan struct{})} }

func (d deadline) pass() { close(d.passed) }

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestCallersDeadlineCounts(t *testing.T) {
	t.Parallel()

	ctx := newDeadline()
	c := serve(t, upstream.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		ctx.pass()
		<-r.Context().Done()
	})
	_, err := c.Send(ctx, orders.AuthorizePayment, key, []byte(`{}`))
	require.ErrorContains(t, err, "no answer in time")

	_, err = c.Send(ctx, orders.AuthorizePayment, key, []byte(`{}`))
	require.ErrorIs(t, err, context.DeadlineExceeded, "over before it began: not made")
}

// One provider's slowness takes none of another's connections.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()

	arrived, release := make(chan string, 8), make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	c := serve(t, upstream.Config{MaxConns: 2}, func(w http.ResponseWriter, r *http.Request) {
		arrived <- strings.Split(r.URL.Path, "/")[1]
		if strings.HasPrefix(r.URL.Path, "/payment") {
			<-release
		}
		_, _ = io.WriteString(w, `{"id":"1"}`)
	})
	t.Cleanup(finish)
	done := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := authorize(t, c)
			done <- err
		}()
	}
	require.Equal(t, "payment", <-arrived)
	require.Equal(t, "payment", <-arrived)
	_, err := c.Send(t.Context(), orders.SendEmail, key, []byte(`{}`))
	require.NoError(t, err)
	require.Equal(t, "email", <-arrived, "the third payment waits")
	finish()
	for range 3 {
		require.NoError(t, <-done)
	}
}
