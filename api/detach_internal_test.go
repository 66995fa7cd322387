package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/store"
)

// scripted is a source that does something when it is asked for what there is.
type scripted func() (more, done bool, err error)

func (scripted) topic() topic { return topic{} }

func (f scripted) catchUp(context.Context, liveWriter, turn) (more, done bool, err error) { return f() }

func (scripted) pass(context.Context, liveWriter, []*notice) (ok, done bool, err error) {
	return true, false, nil
}

func (scripted) advance(store.Cursor) []byte { return nil }

// serveSource serves streams of a source, off net/http.
func serveSource(t *testing.T, source source, allowed func() error) (s *Server, url string) {
	t.Helper()
	s = New(Config{})
	router := chi.NewRouter()
	router.Use(identified)
	api := humachi.New(router, newHumaConfig("test"))
	huma.Get(api, "/", func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		x := exchangeOf(ctx)
		x.stillAllowed = func(context.Context) error { return allowed() }
		return s.openStream(ctx, source)
	})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	t.Cleanup(s.Drain)
	return s, server.URL
}

func always() error { return nil }

// TestStreamCatchingUpEnds: there may be hours' worth of log, which must not go to somebody who is not let in any more.
func TestStreamCatchingUpEnds(t *testing.T) {
	t.Parallel()
	endless := scripted(func() (bool, bool, error) { return true, false, nil })
	t.Run("Revoked", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		_, url := serveSource(t, endless, func() error {
			if asked.Add(1) > 2 {
				return auth.ErrUnauthorized
			}
			return nil
		})
		require.NoError(t, readAll(t, url))
	})
	t.Run("Drained", func(t *testing.T) {
		t.Parallel()
		s, url := serveSource(t, endless, always)
		ended := make(chan error, 1)
		go func() { ended <- readAll(t, url) }()
		require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.streams) > 0 },
			time.Minute, time.Millisecond)
		s.Drain()
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

// TestStreamPanic: nobody but the stream itself can rescue a stream that is off net/http.
func TestStreamPanic(t *testing.T) {
	t.Parallel()
	s, url := serveSource(t, scripted(func() (bool, bool, error) { panic("test") }), always)
	require.ErrorContains(t, readAll(t, url), "unexpected EOF", "it must not look complete")
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.panics), 0)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.streams) == 0 },
		time.Minute, time.Millisecond, "it leaves its slot")
}

// TestStreamsDuringDrain: clients whose streams were ended come back at once. The race detector sees a WaitGroup that
// counts up while somebody waits.
func TestStreamsDuringDrain(t *testing.T) {
	t.Parallel()
	s, url := serveSource(t, scripted(func() (bool, bool, error) { return false, false, nil }), always)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				_ = readAll(t, url) // some find the server closed
			}
		})
	}
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.streams) > 0 },
		time.Minute, time.Millisecond)
	s.Drain()
	clients.Wait()
}
