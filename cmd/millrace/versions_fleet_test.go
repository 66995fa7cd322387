//go:build versions

package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// fleet is the processes that run, and the load on them.
type fleet struct {
	mu      sync.Mutex
	members []*instance
	orders  []string
	slowest time.Duration // of the placements since it was last taken
}

func (f *fleet) add(i *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = append(f.members, i)
}

// replace kills a process, and starts another one in its place.
func (f *fleet) replace(n int, start func() *instance) {
	f.mu.Lock()
	old := f.members[n]
	f.mu.Unlock()
	old.kill()
	fresh := start()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[n] = fresh
}

// remove takes a process out, and returns it.
func (f *fleet) remove(n int) *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.members[n]
	f.members = slices.Delete(f.members, n, n+1)
	return old
}

func (f *fleet) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.orders)
}

// takeSlowest returns the longest time that a placement took since the last call.
func (f *fleet) takeSlowest() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	slowest := f.slowest
	f.slowest = 0
	return slowest
}

// await waits for more accepted orders.
func (f *fleet) await(t *testing.T, more int) {
	t.Helper()
	want := len(f.ids()) + more
	require.Eventually(t, func() bool { return len(f.ids()) >= want }, 3*time.Minute, 20*time.Millisecond)
}

// run places orders from some clients at a time. A client repeats a request under its key, at any process, until it is
// accepted.
func (f *fleet) run(t *testing.T, clients int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for ctx.Err() == nil {
				began, id := time.Now(), ""
				for key := uuid.NewString(); id == ""; {
					id = f.place(key)
				}
				f.mu.Lock()
				f.orders, f.slowest = append(f.orders, id), max(f.slowest, time.Since(began))
				f.mu.Unlock()
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// place sends an order to one of the processes, and returns its id if it was accepted.
func (f *fleet) place(key string) string {
	f.mu.Lock()
	address := f.members[rand.IntN(len(f.members))].api
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/api/orders", strings.NewReader(seedOrder))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusAccepted {
		return ""
	}
	return path.Base(response.Header.Get("Location"))
}
