package stream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// scripted is a source that does something when it is asked for what there is.
type scripted func() (more, done bool, err error)

func (scripted) topic() Topic { return Topic{} }

func (f scripted) catchUp(context.Context, *stream) (more, done bool, err error) { return f() }

func (scripted) pass(context.Context, *stream, []*item) (ok bool, err error) {
	return true, nil
}

func (scripted) advance(store.Cursor) []byte { return nil }

// served is streams of a source, off net/http.
type served struct {
	url    string
	panics prometheus.Counter
	open   atomic.Int64
	drain  func()
}

func serveSource(t *testing.T, source Source, allowed func() error) *served {
	t.Helper()
	draining := make(chan struct{})
	s := &served{panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total", Help: "Panics."})}
	streams := New(Config{
		Encode: encode, Heartbeat: time.Minute, SlowReader: time.Minute, Draining: draining,
		Logger: slog.New(slog.DiscardHandler), Panics: s.panics,
	})
	s.drain = sync.OnceFunc(func() {
		close(draining)
		streams.Wait()
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.open.Add(1)
		streams.Serve(w, r, source, Client{
			Allowed: func(context.Context) error { return allowed() }, Leave: func() { s.open.Add(-1) },
		})
	}))
	t.Cleanup(server.Close)
	t.Cleanup(s.drain)
	s.url = server.URL
	return s
}

func always() error { return nil }

// TestStreamCatchingUpEnds: there may be hours of log, which must not go to a client whose credential has ended.
func TestStreamCatchingUpEnds(t *testing.T) {
	t.Parallel()
	endless := scripted(func() (bool, bool, error) { return true, false, nil })
	t.Run("Revoked", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		s := serveSource(t, endless, func() error {
			if asked.Add(1) > 2 {
				return errors.New("revoked")
			}
			return nil
		})
		require.NoError(t, readAll(t, s.url))
	})
	t.Run("Drained", func(t *testing.T) {
		t.Parallel()
		s := serveSource(t, endless, always)
		ended := make(chan error, 1)
		go func() { ended <- readAll(t, s.url) }()
		require.Eventually(t, func() bool { return s.open.Load() > 0 },
			time.Minute, time.Millisecond)
		s.drain()
		require.NoError(t, <-ended)
	})
}

// readAll reads a stream to its end.
func readAll(t *testing.T, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// TestStreamPanic: only the stream itself can recover from a panic after it has left net/http.
func TestStreamPanic(t *testing.T) {
	t.Parallel()
	s := serveSource(t, scripted(func() (bool, bool, error) { panic("test") }), always)
	require.ErrorContains(t, readAll(t, s.url), "unexpected EOF", "it must not look complete")
	require.InDelta(t, 1, testutil.ToFloat64(s.panics), 0)
	require.Eventually(t, func() bool { return s.open.Load() == 0 },
		time.Minute, time.Millisecond, "it leaves its slot")
}

// TestStreamsDuringDrain: clients whose streams were ended reconnect at once. The race detector reports a WaitGroup
// that counts up during Wait.
func TestStreamsDuringDrain(t *testing.T) {
	t.Parallel()
	s := serveSource(t, scripted(func() (bool, bool, error) { return false, false, nil }), always)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				_ = readAll(t, s.url) // some find the server closed
			}
		})
	}
	require.Eventually(t, func() bool { return s.open.Load() > 0 },
		time.Minute, time.Millisecond)
	s.drain()
	clients.Wait()
}

// panicking is an answer that panics when it is written, or when the stream leaves net/http.
type panicking struct {
	*httptest.ResponseRecorder
	write bool
}

func (p panicking) Write(b []byte) (int, error) {
	if p.write {
		panic("test")
	}
	return p.ResponseRecorder.Write(b)
}

func (panicking) SetReadDeadline(time.Time) error  { return nil }
func (panicking) SetWriteDeadline(time.Time) error { return nil }

func (panicking) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic("test") }

// TestPanicBeforeStream: a stream whose answer cannot begin leaves its slot, and the end of the process does not wait
// for it.
func TestPanicBeforeStream(t *testing.T) {
	t.Parallel()
	for _, write := range []bool{true, false} {
		streams, left := New(Config{SlowReader: time.Minute}), 0
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.Panics(t, func() {
			streams.Serve(panicking{httptest.NewRecorder(), write}, r, scripted(nil), Client{Leave: func() { left++ }})
		})
		require.Equal(t, 1, left)
		streams.detached.running.Wait()
	}
}
