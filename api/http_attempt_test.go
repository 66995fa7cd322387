package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestWrongCredentialsCostNoQueries: above an address's limit the database is not asked about what it sends, also if
// everything comes at once. A key and a ticket that were right before go on being let in.
func TestWrongCredentialsCostNoQueries(t *testing.T) {
	t.Parallel()
	const most = 5
	db, start, passed := &countingDB{Pool: storetest.Pool(t)}, time.Now(), new(atomic.Int64)
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	h := serve(t, db, limited(most, now), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute, Now: now})
	})
	key := h.key(t, roles.Viewer)
	bearer := []string{"Authorization", "Bearer " + key}
	ticket := h.ticket(t, "", bearer...)
	wrong := func(i int) answer {
		text := fmt.Sprintf("%043d", i)
		if i%2 == 0 {
			return h.do(t, http.MethodGet, "/api/events?after=end&ticket="+text, "")
		}
		return h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer mr_aaaaaaaaaaaa_"+text)
	}
	before := db.reads.Load()
	var attempts sync.WaitGroup
	answers := make(chan answer, 60)
	for i := range 60 {
		attempts.Go(func() { answers <- wrong(i) })
	}
	attempts.Wait()
	close(answers)
	refused := map[int]int{}
	for a := range answers {
		refused[a.status]++
	}
	require.Equal(t, 60, refused[http.StatusUnauthorized]+refused[http.StatusTooManyRequests], "%v", refused)
	require.LessOrEqual(t, refused[http.StatusUnauthorized], most)
	require.LessOrEqual(t, db.reads.Load()-before, int64(most))
	for h.do(t, http.MethodGet, "/api/orders", "").status != http.StatusTooManyRequests {
		continue // a wrong credential in flight held room that it then used; without one nothing is asked
	}

	before = db.reads.Load()
	got := wrong(100)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "rate_limited", got.problem(t).Code)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.NotEmpty(t, got.header.Get("RateLimit"))
	require.Equal(t, before, db.reads.Load())
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "", bearer...).status)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/events?after=end&ticket="+ticket, "").status)

	// A key that was revoked is asked about once, and is then as good as any other wrong one.
	_, err := h.store.Credentials.RevokeKeys(t.Context(), []string{key[3:15]}, store.Actor{Name: "test"})
	require.NoError(t, err)
	passed.Store(int64(2 * time.Second))
	before = db.reads.Load()
	for range 3 {
		require.Equal(t, http.StatusTooManyRequests, h.do(t, http.MethodGet, "/api/orders", "", bearer...).status)
	}
	require.Equal(t, before+1, db.reads.Load())
}
