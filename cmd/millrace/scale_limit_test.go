//go:build scale

package main

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A viewer may send so many requests in a window, through whichever process.
const (
	scaleLimit  = 10
	scaleWindow = 5 * time.Second
)

// limited is a viewer that sends ten times as many requests as it may.
type limited struct {
	admitted, refused int
	began             time.Time
	took              time.Duration
}

func exceed(ctx context.Context, t *testing.T, group *sync.WaitGroup, load *scaleLoad, key string) *limited {
	l := &limited{began: time.Now()}
	group.Go(func() {
		client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
		defer client.CloseIdleConnections()
		every := time.NewTicker(scaleWindow / scaleLimit / 10)
		defer every.Stop()
		for ctx.Err() == nil {
			switch status, _ := load.ask(t, client, http.MethodGet, "/api/orders?limit=1", "", key); status {
			case http.StatusOK:
				l.admitted++
			case http.StatusTooManyRequests:
				l.refused++
			default:
				load.failed.Add(1)
			}
			select {
			case <-every.C:
			case <-ctx.Done():
			}
		}
		l.took = time.Since(l.began)
	})
	return l
}

// requireShared requires about the limit in each window: processes that did not know of each other would admit twice as
// many.
func (l *limited) requireShared(t *testing.T) {
	t.Helper()
	windows := l.took.Seconds() / scaleWindow.Seconds()
	t.Logf("a viewer: %d requests admitted and %d refused in %.1f windows of %d", l.admitted, l.refused, windows, scaleLimit)
	require.Positive(t, l.refused)
	require.Less(t, float64(l.admitted), 1.4*scaleLimit*(windows+1))
	require.Greater(t, float64(l.admitted), 0.5*scaleLimit*(windows-1))
}

// requireKeys makes and revokes a key, which all processes honour: at once, and within the second for which they
// remember it.
func requireKeys(t *testing.T, database string, apis []*instance) {
	t.Helper()
	key := createKey(t, database, "service")
	ask := func(i *instance) int {
		status, _, _ := do(t, http.MethodGet, i.api+"/api/orders?limit=1", "", bearer(key)...)
		return status
	}
	for _, i := range apis {
		require.Equal(t, http.StatusOK, ask(i))
	}
	_, _ = millrace(t, "keys", "revoke", "--database-url", database, key[3:15])
	revoked := time.Now()
	for _, i := range apis {
		require.Eventually(t, func() bool { return ask(i) == http.StatusUnauthorized }, time.Minute, 20*time.Millisecond)
	}
	t.Logf("a revoked key was refused by all processes after %s", time.Since(revoked).Round(time.Millisecond))
}
