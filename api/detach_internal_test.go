package api

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// scripted is a source that does something when it is asked for what there is.
type scripted func() (done bool, err error)

func (scripted) topic() topic { return topic{} }

func (f scripted) catchUp(context.Context, liveWriter) (done bool, err error) { return f() }

func (scripted) pass(context.Context, liveWriter, []*notice) (ok, done bool, err error) {
	return true, false, nil
}

func (scripted) advance(store.Cursor) []byte { return nil }

// serveSource serves streams of a source, off net/http.
func serveSource(t *testing.T, source source) (s *Server, url string) {
	t.Helper()
	s = New(Config{})
	router := chi.NewRouter()
	router.Use(identified)
	api := humachi.New(router, newHumaConfig("test"))
	huma.Get(api, "/", func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		x := exchangeOf(ctx)
		x.stillAllowed = func(context.Context) error { return nil }
		return s.openStream(ctx, source)
	})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	t.Cleanup(s.Drain)
	return s, server.URL
}

// TestStreamPanic: nobody but the stream itself can rescue a stream that is off net/http.
func TestStreamPanic(t *testing.T) {
	t.Parallel()
	s, url := serveSource(t, scripted(func() (bool, error) { panic("test") }))
	response, err := http.Get(url) //nolint:gosec,noctx // it is the test's own
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for err == nil {
		_, err = lines.ReadString('\n')
	}
	require.ErrorContains(t, err, "unexpected EOF", "it must not look complete")
	require.InDelta(t, 1, testutil.ToFloat64(s.metrics.panics), 0)
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.streams) == 0 },
		10*time.Second, time.Millisecond, "it leaves its slot")
}

// TestStreamsDuringDrain: clients whose streams were ended come back at once. The race detector sees a WaitGroup that
// counts up while somebody waits.
func TestStreamsDuringDrain(t *testing.T) {
	t.Parallel()
	s, url := serveSource(t, scripted(func() (bool, error) { return false, nil }))
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 50 {
				if response, err := http.Get(url); err == nil { //nolint:gosec,noctx // it is the test's own
					_, _ = bufio.NewReader(response.Body).ReadString('x')
					response.Body.Close()
				}
			}
		})
	}
	require.Eventually(t, func() bool { return testutil.ToFloat64(s.metrics.streams) > 0 },
		10*time.Second, time.Millisecond)
	s.Drain()
	clients.Wait()
}
