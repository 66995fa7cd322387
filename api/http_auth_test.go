package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// countingDB counts reads and can be down.
type countingDB struct {
	*pgxpool.Pool
	reads atomic.Int64
	down  atomic.Bool
}

func (c *countingDB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.reads.Add(1)
	if c.down.Load() {
		return errRow{}
	}
	return c.Pool.QueryRow(ctx, sql, args...)
}

type errRow struct{}

func (errRow) Scan(...any) error { return context.DeadlineExceeded }

// keyed is an authenticator with a clock of its own, and a key that it knows.
func keyed(t *testing.T) (verify func(key string) error, db *countingDB, key string, now *atomic.Int64) {
	t.Helper()
	db, now = &countingDB{Pool: storetest.Pool(t)}, new(atomic.Int64)
	clock := func() time.Time { return time.Unix(1_800_000_000, now.Load()) }
	s, err := store.New(store.Config{DB: db, Now: clock})
	require.NoError(t, err)
	made, err := s.Credentials.MakeKeys(t.Context(), []store.NewKey{{Role: roles.Viewer}}, store.Actor{Name: "test"})
	require.NoError(t, err)
	authenticator := auth.New(auth.Config{Keys: s.Credentials, Timeout: time.Minute, Now: clock})
	return func(key string) error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		_, err = authenticator.Authenticate(r, false)
		return err
	}, db, made[0].Text, now
}

// A right key is looked up once a second; a wrong one, known or not, each time, so that they cost the same.
func TestVerifiedForASecond(t *testing.T) {
	t.Parallel()
	verify, db, key, now := keyed(t)
	for range 10 {
		require.NoError(t, verify(key))
	}
	require.Equal(t, int64(1), db.reads.Load())
	now.Store(int64(time.Second))
	require.NoError(t, verify(key))
	require.Equal(t, int64(2), db.reads.Load())

	wrong := key[:len(key)-1] + "0"
	if wrong == key {
		wrong = key[:len(key)-1] + "1"
	}
	for _, text := range []string{wrong, "mr_aaaaaaaaaaaa_" + strings.Repeat("0", 43)} {
		before := db.reads.Load()
		for range 3 {
			require.ErrorIs(t, verify(text), auth.ErrUnauthorized)
		}
		require.Equal(t, before+3, db.reads.Load(), "%s", text)
	}
	before := db.reads.Load()
	require.ErrorIs(t, verify("mr_short"), auth.ErrUnauthorized)
	require.ErrorIs(t, verify(strings.Repeat("x", 9000)), auth.ErrUnauthorized)
	require.Equal(t, before, db.reads.Load())
}

// A key that cannot be checked is not reported as wrong.
func TestAuthenticationDuringOutage(t *testing.T) {
	t.Parallel()
	verify, db, key, now := keyed(t)
	require.NoError(t, verify(key))
	db.down.Store(true)
	require.NoError(t, verify(key), "a verified key is not looked up again for a second")
	now.Store(int64(time.Second))
	require.ErrorIs(t, verify(key), store.ErrUnavailable)
	require.NotErrorIs(t, verify(key), auth.ErrUnauthorized)
	db.down.Store(false)
	require.NoError(t, verify(key))

	pool, err := store.NewPool(t.Context(), "postgres://127.0.0.1:1/none", "test", 1)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	h := serve(t, pool)
	got := h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+key)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Empty(t, got.header.Get("WWW-Authenticate"))
}

// Two servers on one database: a key that is revoked through one is refused by both.
func TestRevocationReachesEveryServer(t *testing.T) {
	t.Parallel()
	start, passed := time.Now(), new(atomic.Int64)
	h := live(t, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{
			Keys: c.Store.Credentials, Timeout: time.Minute,
			Now: func() time.Time { return start.Add(time.Duration(passed.Load())) },
		})
		c.Heartbeat = 100 * time.Millisecond
	})
	key := h.key(t, roles.Customer)
	header := []string{"Authorization", "Bearer " + key}
	stream := h.open(t, h.placeFor(t, ownCustomer), "", header...)
	_, ok := stream.next(t)
	require.True(t, ok)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "", header...).status)

	other := storetest.New(t, h.pool) // as another process has one
	_, err := other.Credentials.RevokeKeys(t.Context(), []string{key[3:15]}, store.Actor{Name: "test"})
	require.NoError(t, err)
	passed.Store(int64(time.Second))
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/orders", "", header...).status)
	for ok { // the stream ends, too
		_, ok = stream.next(t)
	}
}

// Every way of not being let in is the same answer.
func TestUnauthorizedTellsNothing(t *testing.T) {
	t.Parallel()
	h, _ := secured(t)
	revoked := h.key(t, roles.Admin)
	_, err := h.store.Credentials.RevokeKeys(t.Context(), []string{revoked[3:15]}, store.Actor{Name: "test"})
	require.NoError(t, err)
	expired, err := h.store.Credentials.MakeKeys(t.Context(), []store.NewKey{{
		Role: roles.Admin, ExpiresAt: time.Now().Add(-time.Hour),
	}}, store.Actor{Name: "test"})
	require.NoError(t, err)
	ask := func(header ...string) answer {
		got := h.do(t, http.MethodGet, "/api/orders", "", append(header, "X-Request-Id", "same")...)
		got.header.Del("Date")
		return got
	}
	want := ask()
	require.Equal(t, http.StatusUnauthorized, want.status)
	require.Equal(t, "Bearer", want.header.Get("WWW-Authenticate"))
	for _, credential := range []string{
		"Bearer " + revoked, "Bearer " + expired[0].Text, "Bearer mr_aaaaaaaaaaaa_" + strings.Repeat("0", 43),
		"Bearer mr_", "Bearer ", "Bearer", "Basic bXI6bXI=", "Bearer " + strings.Repeat(".", 100_000),
		"Bearer " + revoked[:len(revoked)-1] + "é",
	} {
		require.Equal(t, want, ask("Authorization", credential))
	}
	require.NotContains(t, h.log.String(), revoked[16:])
}

// Without an authenticator every request is refused. An open server still refuses a wrong credential.
func TestDefaultDeny(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t), func(c *api.Config) { c.Auth = nil })
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/orders", "").status)
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/health", "").status)

	open := serve(t, storetest.Tx(t))
	require.Equal(t, http.StatusOK, open.do(t, http.MethodGet, "/api/orders", "").status)
	wrong := "Bearer mr_aaaaaaaaaaaa_" + strings.Repeat("0", 43)
	got := open.do(t, http.MethodGet, "/api/orders", "", "Authorization", wrong)
	require.Equal(t, http.StatusUnauthorized, got.status)
}
