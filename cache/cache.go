// Package cache keeps orders in memory, as fresh as the feed is. It imports orders only: what loads an order and how
// far the feed is behind are passed in.
package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/millrace-orders/millrace/orders"
)

const (
	defaultTTL = 30 * time.Second
	// maxBehind is how far the feed may lag before the cache is bypassed.
	maxBehind   = 2 * time.Second
	loadTimeout = 5 * time.Second
	// missingTTL is for how long an id without an order is remembered as such.
	missingTTL = time.Second

	stripes    = 1 << 16
	orderBytes = 1 << 10 // of an order with its strings, without items and steps, and as much again in its body
	itemBytes  = 1 << 5
	stepBytes  = 1 << 8
)

// Config says what to cache.
type Config struct {
	// Load reads an order from the database.
	Load func(ctx context.Context, id orders.ID) (orders.Order, error)
	// Behind says for how long changes may have gone unseen. nil: never.
	Behind func() time.Duration
	// MaxBytes bounds the memory of the entries. Default 32 MiB.
	MaxBytes int64
	// TTL bounds what a defect in invalidation could cost. Default 30 s. It is spread by a fifth either way, so that
	// entries which were filled together do not expire together.
	TTL        time.Duration
	Registerer prometheus.Registerer // may be nil
}

// Orders is a read-through cache of orders. It is safe for concurrent use.
//
// Every id belongs to a stripe, and every stripe has a generation that each change in it raises. An entry remembers
// the generation from before it was read from the database, and counts only while that is still the stripe's
// generation. So a fill that raced with a change is dead on arrival, whichever of them was faster, and however
// ristretto orders its own queues. The price is that a change also drops its neighbours in the stripe, which with
// 65,536 stripes is a small one.
type Orders struct {
	config      Config
	entries     *ristretto.Cache[string, entry]
	loads       singleflight.Group
	seed        maphash.Seed
	generations [stripes]atomic.Uint64
	requests    *prometheus.CounterVec
}

// Order is an order in the cache, with what it is answered with. Nobody may change it.
type Order struct {
	orders.Order

	encode sync.Once
	body   []byte
}

// Body is what encode makes of the order: it is called once for a version of an order, however often that is asked for.
func (o *Order) Body(encode func(*orders.Order) []byte) []byte {
	o.encode.Do(func() { o.body = encode(&o.Order) })
	return o.body
}

type entry struct {
	order      *Order // nil: there is none
	generation uint64
}

// New makes a cache. Close it after its last use.
func New(c Config) (*Orders, error) {
	if c.MaxBytes == 0 {
		c.MaxBytes = 32 << 20
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.Behind == nil {
		c.Behind = func() time.Duration { return 0 }
	}
	entries, err := ristretto.NewCache(&ristretto.Config[string, entry]{
		// Ten times as many as it can hold, as ristretto advises. It allocates them at once.
		NumCounters: 10 * (c.MaxBytes/(2*orderBytes) + 1), MaxCost: c.MaxBytes, BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_cache_requests_total", Help: "Reads of orders through the cache.",
	}, []string{"result"})
	if c.Registerer != nil {
		c.Registerer.MustRegister(requests)
	}
	return &Orders{config: c, entries: entries, seed: maphash.MakeSeed(), requests: requests}, nil
}

// Close frees the cache. Get must not be called any more.
func (c *Orders) Close() { c.entries.Close() }

// Get returns an order, which the caller must not change. If atLeast is not 0, the caller knows that the order has that
// version, and an older one is not taken from memory. Errors are those of Load.
//
// It knows nothing of who asks: check after Get, never before, that the caller may see the order.
func (c *Orders) Get(ctx context.Context, id orders.ID, atLeast int64) (*Order, error) {
	if c.config.Behind() > maxBehind {
		return c.bypass(ctx, id)
	}
	order, err := c.get(ctx, id)
	if known := err == nil && order.Version >= atLeast; !known && atLeast > 0 {
		return c.bypass(ctx, id) // another process has written, and the feed has not told this one yet
	}
	return order, err
}

func (c *Orders) bypass(ctx context.Context, id orders.ID) (*Order, error) {
	c.requests.WithLabelValues("bypass").Inc()
	order, err := c.config.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Order{Order: order}, nil
}

func (c *Orders) get(ctx context.Context, id orders.ID) (*Order, error) {
	key := string(id[:])
	generation := c.stripe(id).Load()
	if e, ok := c.entries.Get(key); ok && e.generation == generation {
		c.requests.WithLabelValues("hit").Inc()
		if e.order == nil {
			return nil, orders.ErrNotFound
		}
		return e.order, nil
	}
	c.requests.WithLabelValues("miss").Inc()

	// Callers share a load only if nothing changed between them: somebody who has just written must not be given
	// what was read before. And the load does not die with the caller who happened to start it.
	flight := fmt.Sprintf("%s%d", key, generation)
	loaded, err, _ := c.loads.Do(flight, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		order, err := c.config.Load(ctx, id)
		if errors.Is(err, orders.ErrNotFound) {
			c.entries.SetWithTTL(key, entry{generation: generation}, orderBytes, missingTTL)
		}
		if err != nil {
			return nil, err
		}
		lifetime := c.config.TTL*4/5 + rand.N(c.config.TTL*2/5)
		cost := 2 * int64(orderBytes+itemBytes*len(order.Items)+stepBytes*len(order.Steps))
		cached := &Order{Order: order}
		c.entries.SetWithTTL(key, entry{cached, generation}, cost, lifetime)
		return cached, nil
	})
	if err != nil {
		return nil, err
	}
	return loaded.(*Order), nil
}

// Forget drops what is known of an order: call it after writing to it, and when the feed says that it has changed.
func (c *Orders) Forget(id orders.ID) { c.stripe(id).Add(1) }

func (c *Orders) stripe(id orders.ID) *atomic.Uint64 {
	return &c.generations[maphash.Comparable(c.seed, id)%stripes]
}
