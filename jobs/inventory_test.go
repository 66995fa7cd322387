package jobs_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

// inventory is the synchronisation alone, with an inventory provider that says what a test lets it say.
type inventory struct {
	t         *testing.T
	store     *store.Store
	simulator *simulator.Simulator
	status    atomic.Int32 // of the provider's answers instead of the simulator's, if not 0
	asked     atomic.Int32
	log       *buffer
}

func newInventory(t *testing.T, every time.Duration, status int32) *inventory {
	t.Helper()
	pool := storetest.Pool(t)
	i := &inventory{t: t, store: storetest.New(t, pool), log: new(buffer)}
	i.status.Store(status)
	var err error
	i.simulator, err = simulator.Open(simulator.Config{Seed: 1})
	require.NoError(t, err)
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if status := i.status.Load(); status != 0 {
			w.WriteHeader(int(status))
			return
		}
		i.simulator.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(provider.Close)
	t.Cleanup(func() { _ = i.simulator.Close() })
	urls := map[orders.Provider]string{}
	for _, p := range orders.Providers() {
		urls[p] = provider.URL + "/" + string(p)
	}
	clients, err := upstream.New(upstream.Config{URLs: urls})
	require.NoError(t, err)
	t.Cleanup(clients.Close)
	client, err := jobs.NewClient(jobs.Config{
		Pool: pool, Store: i.store, Providers: clients, SyncInventoryEvery: every,
		Logger: slog.New(slog.NewTextHandler(i.log, nil)),
	})
	require.NoError(t, err)
	require.NoError(t, client.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = client.StopAndCancel(ctx)
	})
	return i
}

// await waits until the snapshot is as wanted and returns when it was taken.
func (i *inventory) await(what string, wanted func([]orders.Stock, time.Time) bool) (asOf time.Time) {
	i.t.Helper()
	require.Eventually(i.t, func() bool {
		products, at, err := i.store.Inventory.List(i.t.Context(), 0, 100)
		asOf = at
		return err == nil && wanted(products, at)
	}, time.Minute, 20*time.Millisecond, "waiting for %s", what)
	return asOf
}

// awaitCalls waits until the provider was asked some more times.
func (i *inventory) awaitCalls(n int32) {
	i.t.Helper()
	before := i.asked.Load()
	require.Eventually(i.t, func() bool { return i.asked.Load() >= before+n }, time.Minute, 20*time.Millisecond)
}

func TestSyncInventory(t *testing.T) {
	t.Parallel()
	i := newInventory(t, time.Second, 0)
	asOf := i.await("the first snapshot", func(p []orders.Stock, at time.Time) bool {
		return len(p) == 20 && !at.IsZero() // the moment is read before the products
	})
	require.WithinDuration(t, time.Now(), asOf, time.Minute)

	put := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/inventory/stock",
		strings.NewReader(`{"productId":7,"quantity":3}`))
	i.simulator.Handler().ServeHTTP(httptest.NewRecorder(), put)
	i.await("the new stock", func(p []orders.Stock, _ time.Time) bool {
		return len(p) == 1 && p[0].ProductID == 7 && p[0].Quantity == 3
	})

	// While the provider fails the snapshot stays, and ages; it is said once.
	i.status.Store(http.StatusInternalServerError)
	i.awaitCalls(3)
	frozen := i.await("anything", func(p []orders.Stock, _ time.Time) bool { return len(p) == 1 })
	i.awaitCalls(1)
	i.await("the same", func(_ []orders.Stock, at time.Time) bool { return at.Equal(frozen) })
	require.Equal(t, 1, strings.Count(i.log.String(), "inventory synchronisation failed"))

	i.status.Store(0)
	i.await("a later snapshot", func(_ []orders.Stock, at time.Time) bool { return at.After(frozen) })
	require.Eventually(t, func() bool { return strings.Contains(i.log.String(), "inventory synchronisation recovered") },
		time.Minute, 10*time.Millisecond)
}

// A provider without a list causes no error, and is logged the first time only.
func TestSyncInventoryWithoutAList(t *testing.T) {
	t.Parallel()
	i := newInventory(t, 0, 0)
	require.Zero(t, i.asked.Load(), "0 is never")

	j := newInventory(t, time.Second, http.StatusNotImplemented)
	j.awaitCalls(3)
	require.Equal(t, 1, strings.Count(j.log.String(), "has no stock list"))
	require.NotContains(t, j.log.String(), "inventory synchronisation failed")
	require.NotContains(t, j.log.String(), "ERROR")
	require.Zero(t, i.asked.Load())
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
