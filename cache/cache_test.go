package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/orders"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is where the truth is: one version per order.
type database struct {
	mu       sync.Mutex
	versions map[orders.ID]int64
	loads    atomic.Int64
	// paused, if set, is called between reading and returning.
	paused func()
}

func (d *database) load(_ context.Context, id orders.ID) (orders.Order, error) {
	d.loads.Add(1)
	d.mu.Lock()
	version, ok := d.versions[id]
	d.mu.Unlock()
	if d.paused != nil {
		d.paused()
	}
	if !ok {
		return orders.Order{}, orders.ErrNotFound
	}
	return orders.Order{ID: id, Version: version}, nil
}

func (d *database) write(id orders.ID) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.versions[id]++
	return d.versions[id]
}

func setup(t *testing.T, change func(*cache.Config)) (*cache.Orders, *database, orders.ID) {
	t.Helper()
	id := orders.NewID()
	db := &database{versions: map[orders.ID]int64{id: 1}}
	config := cache.Config{Load: db.load}
	if change != nil {
		change(&config)
	}
	c, err := cache.New(config)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, db, id
}

func get(t *testing.T, c *cache.Orders, id orders.ID) int64 {
	t.Helper()
	order, err := c.Get(t.Context(), id, 0)
	require.NoError(t, err)
	return order.Version
}

func TestGet(t *testing.T) {
	t.Parallel()

	t.Run("HitsAndForgets", func(t *testing.T) {
		t.Parallel()
		registry := prometheus.NewRegistry()
		c, db, id := setup(t, func(config *cache.Config) { config.Registerer = registry })
		require.Eventually(t, func() bool { // ristretto admits in the background
			before := db.loads.Load()
			get(t, c, id)
			return db.loads.Load() == before
		}, time.Minute, time.Millisecond)

		version := db.write(id)
		c.Forget(id)
		require.Equal(t, version, get(t, c, id))
		n, err := testutil.GatherAndCount(registry, "millrace_cache_requests_total")
		require.NoError(t, err)
		require.Equal(t, 3, n) // hit, miss and bypass
	})

	t.Run("AMissingOrderIsKeptUntilItIsThere", func(t *testing.T) {
		t.Parallel()
		c, db, _ := setup(t, nil)
		id := orders.NewID()
		require.Eventually(t, func() bool {
			before := db.loads.Load()
			_, err := c.Get(t.Context(), id, 0)
			require.ErrorIs(t, err, orders.ErrNotFound)
			return db.loads.Load() == before
		}, time.Minute, time.Millisecond)
		db.write(id)
		order, err := c.Get(t.Context(), id, 1)
		require.NoError(t, err, "the caller knows better")
		require.Equal(t, int64(1), order.Version)
		c.Forget(id)
		require.Equal(t, int64(1), get(t, c, id))
	})

	t.Run("OtherErrorsAreNotKept", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("broken")
		c, _, id := setup(t, func(config *cache.Config) {
			load, failed := config.Load, false
			config.Load = func(ctx context.Context, id orders.ID) (orders.Order, error) {
				if !failed {
					failed = true
					return orders.Order{}, broken
				}
				return load(ctx, id)
			}
		})
		_, err := c.Get(t.Context(), id, 0)
		require.ErrorIs(t, err, broken)
		require.Equal(t, int64(1), get(t, c, id))
	})

	// I17 across processes: the feed has not told of the write yet, the caller does.
	t.Run("AtLeastWhatTheCallerKnows", func(t *testing.T) {
		t.Parallel()
		c, db, id := setup(t, nil)
		require.Eventually(t, func() bool {
			before := db.loads.Load()
			get(t, c, id)
			return db.loads.Load() == before
		}, time.Minute, time.Millisecond)
		written := db.write(id)
		require.Less(t, get(t, c, id), written, "the control: without it the old version is served")
		order, err := c.Get(t.Context(), id, written)
		require.NoError(t, err)
		require.Equal(t, written, order.Version)
		order, err = c.Get(t.Context(), id, written+1)
		require.NoError(t, err)
		require.Equal(t, written, order.Version, "there is no newer one")
	})

	t.Run("BypassedWhileTheFeedIsBehind", func(t *testing.T) {
		t.Parallel()
		var behind atomic.Int64
		c, db, id := setup(t, func(config *cache.Config) {
			config.Behind = func() time.Duration { return time.Duration(behind.Load()) }
		})
		get(t, c, id)
		behind.Store(int64(3 * time.Second))
		for range 3 { // changes that the cache does not hear of
			require.Equal(t, db.write(id), get(t, c, id))
		}
	})

	t.Run("OneLoadForManyMisses", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c, db, id := setup(t, nil)
			release := make(chan struct{})
			db.paused = func() { <-release }
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { _, _ = c.Get(context.Background(), id, 0) })
			}
			synctest.Wait() // all of them are waiting
			close(release)
			wg.Wait()
			require.EqualValues(t, 1, db.loads.Load())
		})
	})

	t.Run("NoLoadRightAfterALoad", func(t *testing.T) {
		t.Parallel()
		c, db, _ := setup(t, nil)
		const n = 500
		for range n {
			id := orders.NewID()
			db.write(id)
			get(t, c, id)
			get(t, c, id)
			missing := orders.NewID()
			for range 2 {
				_, err := c.Get(t.Context(), missing, 0)
				require.ErrorIs(t, err, orders.ErrNotFound)
			}
		}
		require.EqualValues(t, 2*n, db.loads.Load())
	})

	// A caller that looks while a load ends must not begin another one.
	t.Run("OneLoadHoweverCallersArrive", func(t *testing.T) {
		t.Parallel()
		c, db, _ := setup(t, nil)
		const n = 1000
		for range n {
			id := orders.NewID()
			db.write(id)
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() { _, _ = c.Get(context.Background(), id, 0) })
			}
			wg.Wait()
		}
		require.EqualValues(t, n, db.loads.Load())
	})

	t.Run("ACallerThatLeavesEndsNoOtherCall", func(t *testing.T) {
		t.Parallel()
		c, db, id := setup(t, nil)
		release := make(chan struct{})
		db.paused = func() { <-release }
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := c.Get(ctx, id, 0)
			first <- err
		}()
		require.Eventually(t, func() bool { return db.loads.Load() == 1 }, time.Minute, time.Millisecond)
		cancel()
		close(release)
		require.Equal(t, int64(1), get(t, c, id))
		require.NoError(t, <-first)
	})
}

// A load that read before a change must not stay in the cache after the change, nor be returned to the caller that
// made the change.
func TestFillThatRacesWithAChange(t *testing.T) {
	t.Parallel()
	c, db, id := setup(t, nil)
	reading, release := make(chan struct{}), make(chan struct{})
	var paused atomic.Bool
	db.paused = func() {
		if paused.CompareAndSwap(false, true) { // the first load only
			close(reading)
			<-release
		}
	}
	slow := make(chan int64, 1)
	go func() {
		order, _ := c.Get(context.Background(), id, 0)
		slow <- order.Version
	}()
	<-reading
	version := db.write(id)
	c.Forget(id)
	require.Equal(t, version, get(t, c, id), "the writer joined a load from before its write")
	close(release)
	require.Equal(t, int64(1), <-slow)
	for range 1000 {
		require.Equal(t, version, get(t, c, id), "the late fill stayed")
	}
}

// Writers and readers at full speed: a caller never reads an order that is older than its own write.
func TestReadYourOwnWrites(t *testing.T) {
	t.Parallel()
	c, db, _ := setup(t, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			id := orders.NewID()
			for range 2000 {
				version := db.write(id)
				c.Forget(id)
				order, err := c.Get(context.Background(), id, 0)
				if err != nil || order.Version < version {
					t.Errorf("read version %d after writing %d: %v", order.Version, version, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
