package store_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func makeKey(t *testing.T, s *store.Store, request store.NewKey) store.MadeKey {
	t.Helper()
	require.NoError(t, request.Validate())
	made, err := s.Credentials.MakeKeys(t.Context(), []store.NewKey{request}, store.Actor{Name: "test", Role: roles.Admin})
	require.NoError(t, err)
	return made[0]
}

func TestKey(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	tx := storetest.Tx(t)
	s, err := store.New(store.Config{DB: tx, Now: func() time.Time { return now }})
	require.NoError(t, err)
	made, usable, err := s.Credentials.KeysExist(t.Context())
	require.NoError(t, err)
	require.False(t, made || usable)

	key := makeKey(t, s, store.NewKey{
		Role: roles.Customer, CustomerID: "42", Name: "shop", ExpiresAt: now.Add(time.Hour),
	})
	require.Regexp(t, "^mr_[a-z2-7]{12}_[0-9A-Za-z]{43}$", key.Text)
	require.NotEqual(t, key.Text, makeKey(t, s, store.NewKey{Role: roles.Admin}).Text)
	found, err := s.Credentials.VerifyKey(t.Context(), key.Text)
	require.NoError(t, err)
	require.Equal(t, key.Key, found)
	require.Equal(t, roles.Customer, found.Role)
	require.Equal(t, "42", found.CustomerID)

	t.Run("OnlyTheHashIsStored", func(t *testing.T) { //nolint:paralleltest // one transaction
		var dump string
		require.NoError(t, tx.QueryRow(t.Context(), `SELECT string_agg(k::text || encode(k.secret_sha256, 'escape'), '')
			FROM api_keys k`).Scan(&dump))
		secret := key.Text[len("mr_")+len(key.ID)+1:]
		require.NotContains(t, dump, secret[:39])
		require.Contains(t, dump, secret[39:], "the last four characters, to tell keys apart")
	})

	t.Run("Refused", func(t *testing.T) { //nolint:paralleltest // one transaction
		wrong := []byte(key.Text)
		wrong[len(wrong)-1] ^= 1
		for _, text := range []string{
			"", "mr_", "mr__", key.ID, strings.ToUpper(key.Text), key.Text + "x", key.Text[:len(key.Text)-1], string(wrong),
			"mr_aaaaaaaaaaaa_" + strings.Repeat("0", 43), "mr_" + strings.Repeat("é", 28),
			"mr_" + key.ID + "_" + strings.Repeat("\x00", 43), "mr_" + key.ID + "x" + strings.Repeat("0", 43),
		} {
			_, err := s.Credentials.VerifyKey(t.Context(), text)
			require.ErrorIs(t, err, store.ErrKeyRefused, "%q", text)
		}
	})

	t.Run("Expired", func(t *testing.T) { //nolint:paralleltest // one transaction
		before := now
		now = now.Add(time.Hour)
		_, err := s.Credentials.VerifyKey(t.Context(), key.Text)
		require.ErrorIs(t, err, store.ErrKeyRefused)
		now = before
	})

	t.Run("Revoked", func(t *testing.T) { //nolint:paralleltest // one transaction
		by := store.Actor{Name: "cli:ada", Role: roles.Admin, RemoteAddress: "host"}
		_, err := s.Credentials.RevokeKeys(t.Context(), []string{key.ID, "aaaaaaaaaaaa"}, by)
		require.ErrorIs(t, err, store.ErrKeyNotFound)
		_, err = s.Credentials.VerifyKey(t.Context(), key.Text)
		require.NoError(t, err, "all or none")

		revoked, err := s.Credentials.RevokeKeys(t.Context(), []string{key.ID}, by)
		require.NoError(t, err)
		require.Equal(t, now, revoked[0].RevokedAt.UTC())
		_, err = s.Credentials.VerifyKey(t.Context(), key.Text)
		require.ErrorIs(t, err, store.ErrKeyRefused)
		first := now
		now = now.Add(time.Minute)
		again, err := s.Credentials.RevokeKeys(t.Context(), []string{key.ID}, by)
		require.NoError(t, err)
		require.Equal(t, first, again[0].RevokedAt.UTC(), "it stays when it was")

		log, err := s.Audit.List(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, log, 4)
		require.Equal(t, "keys.revoke", log[0].Action)
		require.Equal(t, key.ID, log[0].Target)
		require.Equal(t, by, log[0].Actor)
		require.Equal(t, "keys.create", log[3].Action)
		require.Equal(t, map[string]any{"role": "customer"}, log[3].Detail)
	})

	keys, err := s.Credentials.Keys(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	made, usable, err = s.Credentials.KeysExist(t.Context())
	require.NoError(t, err)
	require.True(t, made && usable)
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	for field, k := range map[string]store.NewKey{
		"role":     {Role: "root"},
		"customer": {Role: roles.Customer},
		"name":     {Role: roles.Viewer, Name: "a\x1b[31mb"},
	} {
		var invalid *orders.InvalidError
		require.ErrorAs(t, k.Validate(), &invalid)
		require.Equal(t, field, invalid.Fields[0].Field)
	}
	require.Error(t, store.NewKey{Role: roles.Admin, CustomerID: "1"}.Validate())
	require.Error(t, store.NewKey{Role: roles.Viewer, Name: strings.Repeat("x", 201)}.Validate())
}

// An outage is no reason to call a key wrong.
func TestVerifyKeyWithoutDatabase(t *testing.T) {
	t.Parallel()
	pool, err := store.NewPool(t.Context(), "postgres://127.0.0.1:1/none", "test", 1)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = storetest.New(t, pool).Credentials.VerifyKey(t.Context(), "mr_aaaaaaaaaaaa_"+strings.Repeat("0", 43))
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, err, store.ErrKeyRefused)
}

// FuzzKey sends anything as a key. Only what looks like one is looked for, in a database that is not there.
func FuzzKey(f *testing.F) {
	f.Add("mr_aaaaaaaaaaaa_" + strings.Repeat("0", 43))
	f.Add("mr_aaaaaaaaaaaa_" + strings.Repeat("é", 21) + "0")
	f.Add("mr_")
	f.Add("Bearer mr_aaaaaaaaaaaa")
	pool, err := store.NewPool(f.Context(), "postgres://127.0.0.1:1/none", "test", 1)
	require.NoError(f, err)
	f.Cleanup(pool.Close)
	s := storetest.New(f, pool)
	key := regexp.MustCompile("^mr_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := s.Credentials.VerifyKey(t.Context(), text)
		require.Equal(t, key.MatchString(text), errors.Is(err, store.ErrUnavailable))
		require.Equal(t, !key.MatchString(text), errors.Is(err, store.ErrKeyRefused))
	})
}
