package auth

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// maxRecent bounds the memory of what was looked up.
const maxRecent = 10_000

// recent remembers for a moment what a look-up found. Each name space has a type of its own for K and a recent of its
// own: what names a thing in one can then never open anything in another.
type recent[K ~string, V any] struct {
	now     func() time.Time
	lookups singleflight.Group

	mu    sync.Mutex
	found map[K]recentValue[V] // never failures: an unknown credential costs the same each time
}

type recentValue[V any] struct {
	value V
	until time.Time
}

func newRecent[K ~string, V any](now func() time.Time) *recent[K, V] {
	return &recent[K, V]{now: now, found: make(map[K]recentValue[V])}
}

// get returns what is remembered of a key, or looks it up. Callers of the same key at the same time share one look-up.
func (m *recent[K, V]) get(
	ctx context.Context, key K, find func(context.Context) (V, time.Time, error),
) (V, error) {
	if value, ok := m.load(key); ok {
		return value, nil
	}
	// The first caller asks for all that come meanwhile, so its own leaving must not end the look-up.
	found, err, _ := m.lookups.Do(string(key), func() (any, error) {
		asked := m.now() // what is found may be as old as this
		value, until, err := find(context.WithoutCancel(ctx))
		if err == nil {
			m.store(key, value, earliest(until, asked.Add(verifiedFor)))
		}
		return value, err
	})
	return found.(V), err
}

func (m *recent[K, V]) load(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.found[key]
	return v.value, ok && m.now().Before(v.until)
}

// store makes room by forgetting what has run out, and everything if that is not enough: it only costs look-ups.
func (m *recent[K, V]) store(key K, value V, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.found) >= maxRecent {
		now := m.now()
		for k, v := range m.found {
			if !now.Before(v.until) {
				delete(m.found, k)
			}
		}
	}
	if len(m.found) >= maxRecent {
		clear(m.found)
	}
	m.found[key] = recentValue[V]{value, until}
}

// earliest returns the earlier time. A zero a is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
