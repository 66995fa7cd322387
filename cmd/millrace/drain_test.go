package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// balancer sends each request to the next process that was ready at its latest look, and repeats none.
type balancer struct {
	client http.Client
	mu     sync.Mutex
	ready  map[string]bool
	next   int
}

const checkEvery = 100 * time.Millisecond

func (b *balancer) look(t *testing.T, backends []string) {
	t.Helper()
	for _, backend := range backends {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, backend+"/health/ready", nil)
		if err != nil {
			panic(err)
		}
		response, err := b.client.Do(request)
		ready := err == nil && response.StatusCode == http.StatusOK
		if err == nil {
			_ = response.Body.Close()
		}
		b.mu.Lock()
		if b.ready[backend] != ready {
			t.Logf("%s is ready: %v", backend, ready)
		}
		b.ready[backend] = ready
		b.mu.Unlock()
	}
}

func (b *balancer) pick(backends []string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range backends {
		b.next++
		if backend := backends[b.next%len(backends)]; b.ready[backend] {
			return backend
		}
	}
	return backends[0]
}

// TestDrainDelay restarts processes under load, one after the other, behind a balancer that looks every 100 ms. No
// request fails, although nothing is sent twice.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	start := func() *instance {
		return startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
			"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--rate-limit", "0", "--drain-delay", "1s",
			"--api-connections", "4")
	}
	var mu sync.Mutex
	running := []*instance{start(), start()}
	backends := func() (urls []string) {
		mu.Lock()
		defer mu.Unlock()
		for _, i := range running {
			urls = append(urls, i.api)
		}
		return urls
	}
	b := &balancer{ready: map[string]bool{}}
	b.look(t, backends())
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			to, _ := url.Parse(b.pick(backends()))
			r.SetURL(to)
			r.Out.Host = to.Host // as an open server demands; and no X-Forwarded-For
			r.Out.GetBody = nil
		},
	})
	defer proxy.Close()

	done := make(chan struct{})
	var group sync.WaitGroup
	var answered, failed atomic.Int64
	group.Go(func() {
		for ticker := time.NewTicker(checkEvery); ; {
			select {
			case <-done:
				return
			case <-ticker.C:
				b.look(t, backends())
			}
		}
	})
	for range 4 {
		group.Go(func() {
			for every := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-done:
					return
				case <-every.C:
				}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL+"/api/orders",
					io.NopCloser(strings.NewReader(seedOrder)))
				if err != nil {
					return
				}
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Idempotency-Key", uuid.NewString())
				response, err := proxy.Client().Do(request)
				if err != nil || response.StatusCode != http.StatusAccepted {
					t.Log("failed:", err, response)
					failed.Add(1)
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				answered.Add(1)
			}
		})
	}
	for round := range 4 {
		before := answered.Load()
		old := running[round%2]
		require.NoError(t, old.stop())
		fresh := start()
		mu.Lock()
		running[round%2] = fresh
		mu.Unlock()
		require.Eventually(t, func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.ready[fresh.api] && answered.Load() > before
		}, time.Minute, checkEvery)
	}
	close(done)
	group.Wait()
	require.Zero(t, failed.Load(), "of %d", answered.Load())
}
