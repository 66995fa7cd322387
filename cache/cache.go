// Package cache keeps orders in memory, as fresh as the feed. It imports orders and trace only: the function that loads
// an order and the lag of the feed are passed in.
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
	"github.com/millrace-orders/millrace/trace"
)

const (
	defaultTTL = 30 * time.Second
	// maxBehind is how far the feed may lag before the cache is bypassed.
	maxBehind   = 2 * time.Second
	loadTimeout = 5 * time.Second
	// missingTTL is how long an id is remembered as missing.
	missingTTL = time.Second

	stripes    = 1 << 16
	orderBytes = 1 << 10 // an order and its strings, without items and steps; its body takes as much again
	itemBytes  = 1 << 5
	stepBytes  = 1 << 8
)

// Config configures a cache.
type Config struct {
	// Load reads an order from the database.
	Load func(ctx context.Context, id orders.ID) (orders.Order, error)
	// Behind returns for how long changes may have been missed. nil: never.
	Behind func() time.Duration
	// MaxBytes bounds the memory of the entries. Default 32 MiB.
	MaxBytes int64
	// TTL limits the damage of a defect in invalidation. Default 30 s. It varies by a fifth either way, so that entries
	// that were filled together do not expire together.
	TTL        time.Duration
	Registerer prometheus.Registerer // may be nil
}

// Orders is a read-through cache of orders. It is safe for concurrent use.
//
// Every id belongs to a stripe, and every stripe has a generation that each change in it raises. An entry remembers its
// stripe's generation from before it was read from the database. The entry is valid only while the stripe still has
// that generation. So a fill that raced with a change is never served, whichever was faster, and however ristretto
// orders its own queues. The price is that a change also drops the other entries of the stripe. With 65,536 stripes
// that price is small.
type Orders struct {
	config      Config
	entries     *ristretto.Cache[string, entry]
	loads       singleflight.Group
	seed        maphash.Seed
	generations [stripes]atomic.Uint64
	requests    *prometheus.CounterVec
}

// Order is an order in the cache, with its response body. It must not be changed.
type Order struct {
	orders.Order

	encode sync.Once
	body   []byte
}

// Body returns the result of encode for the order. encode is called once for each version of an order, however often
// the body is requested.
func (o *Order) Body(encode func(*orders.Order) []byte) []byte {
	o.encode.Do(func() { o.body = encode(&o.Order) })
	return o.body
}

type entry struct {
	order      *Order // nil: the order is missing
	generation uint64
}

func (e entry) answer() (*Order, error) {
	if e.order == nil {
		return nil, orders.ErrNotFound
	}
	return e.order, nil
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
		// Ten times the number of entries that fit, as ristretto advises. It allocates the counters at once.
		NumCounters: 10 * (c.MaxBytes/(2*orderBytes) + 1), MaxCost: c.MaxBytes, BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_cache_requests_total", Help: "Reads of orders through the cache.",
	}, []string{"result"})
	for _, result := range []string{"hit", "miss", "bypass"} {
		requests.WithLabelValues(result)
	}
	if c.Registerer != nil {
		c.Registerer.MustRegister(requests)
	}
	return &Orders{config: c, entries: entries, seed: maphash.MakeSeed(), requests: requests}, nil
}

// Close frees the cache. Get must not be called afterwards.
func (c *Orders) Close() { c.entries.Close() }

// Get returns an order, which the caller must not change. If atLeast is not 0, the caller knows that the order has that
// version, and Get does not return an older one from memory. Errors are those of Load.
//
// Get does not know the caller: check after Get, never before, that the caller may see the order.
func (c *Orders) Get(ctx context.Context, id orders.ID, atLeast int64) (*Order, error) {
	if c.config.Behind() > maxBehind {
		return c.bypass(ctx, id)
	}
	order, err := c.get(ctx, id)
	if known := err == nil && order.Version >= atLeast; !known && atLeast > 0 {
		return c.bypass(ctx, id) // a different process has written, and the feed has not shown it here yet
	}
	return order, err
}

// answered counts an answer, and notes it for the request's log line.
func (c *Orders) answered(ctx context.Context, result string) {
	c.requests.WithLabelValues(result).Inc()
	trace.ScopeOf(ctx).Cache(result)
}

func (c *Orders) bypass(ctx context.Context, id orders.ID) (*Order, error) {
	c.answered(ctx, "bypass")
	order, err := c.config.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Order{Order: order}, nil
}

func (c *Orders) get(ctx context.Context, id orders.ID) (*Order, error) {
	key := string(id[:])
	generation := c.stripe(id).Load()
	if e, ok := c.find(key, generation); ok {
		c.answered(ctx, "hit")
		return e.answer()
	}
	c.answered(ctx, "miss")

	// Callers share a load only if nothing changed between them: a caller that has just written must not get an older
	// read. And the load does not end with the caller that happened to start it.
	flight := fmt.Sprintf("%s%d", key, generation)
	loaded, err, _ := c.loads.Do(flight, func() (any, error) {
		if e, ok := c.find(key, generation); ok {
			return e.answer() // the last load ended between this caller's look and its turn
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		order, err := c.config.Load(ctx, id)
		if errors.Is(err, orders.ErrNotFound) && !errors.Is(err, orders.ErrArchived) {
			c.entries.SetWithTTL(key, entry{generation: generation}, orderBytes, missingTTL)
			c.entries.Wait() // as below
		}
		if err != nil {
			return nil, err
		}
		lifetime := c.config.TTL*4/5 + rand.N(c.config.TTL*2/5)
		cost := 2 * int64(orderBytes+itemBytes*len(order.Items)+stepBytes*len(order.Steps))
		cached := &Order{Order: order}
		c.entries.SetWithTTL(key, entry{cached, generation}, cost, lifetime)
		c.entries.Wait() // a caller that comes after this load finds it, and does not begin another one
		return cached, nil
	})
	if err != nil {
		return nil, err
	}
	return loaded.(*Order), nil
}

// find returns the entry of an order, if nothing in its stripe has changed since the generation.
func (c *Orders) find(key string, generation uint64) (entry, bool) {
	e, ok := c.entries.Get(key)
	return e, ok && e.generation == generation
}

// Forget drops an order from memory. Call it after writing to the order, and when the feed shows a change.
func (c *Orders) Forget(id orders.ID) { c.stripe(id).Add(1) }

func (c *Orders) stripe(id orders.ID) *atomic.Uint64 {
	return &c.generations[maphash.Comparable(c.seed, id)%stripes]
}
