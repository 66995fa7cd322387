package auth

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// maxRecent bounds the number of remembered look-ups.
const maxRecent = 10_000

// recent remembers the results of look-ups for a moment. Each name space has its own type for K and its own recent, so
// a name from one name space can never be accepted in another.
type recent[K ~string, V any] struct {
	now     func() time.Time
	lookups singleflight.Group

	mu    sync.Mutex
	found map[K]recentValue[V] // without failures: an unknown credential costs the same each time
}

type recentValue[V any] struct {
	value V
	until time.Time
}

func newRecent[K ~string, V any](now func() time.Time) *recent[K, V] {
	return &recent[K, V]{now: now, found: make(map[K]recentValue[V])}
}

// get returns the remembered value of a key, or looks it up. Concurrent callers with the same key share one look-up.
func (m *recent[K, V]) get(
	ctx context.Context, key K, find func(context.Context) (V, time.Time, error),
) (V, error) {
	if value, ok := m.load(key); ok {
		return value, nil
	}
	// The first caller looks up for all concurrent callers, so the look-up must go on if that caller leaves.
	found, err, _ := m.lookups.Do(string(key), func() (any, error) {
		asked := m.now() // the result may be as old as this
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

// store adds a value. If the map is full it drops expired values, or all values if that is not enough: dropping them
// only costs look-ups.
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

// earliest returns the earlier time. A zero a means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
