package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestTicketsOfOne: a principal has so many tickets at a time, and makes none while another has all it may have.
func TestTicketsOfOne(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	ticket := func(principal string, life time.Duration) store.Ticket {
		return store.Ticket{Principal: principal, Role: roles.Service, ExpiresAt: time.Now().Add(life)}
	}
	_, err := tx.Exec(t.Context(), `INSERT INTO millrace.stream_tickets
		(secret_sha256, principal, role, customer_id, expires_at)
		SELECT sha256(n::text::bytea), 'shop', 'service', '', now() + interval '1 hour' FROM generate_series(2, $1) n`,
		store.MaxTickets)
	require.NoError(t, err)
	texts, err := s.Credentials.MakeTickets(t.Context(), []store.Ticket{ticket("shop", time.Minute)})
	require.NoError(t, err)
	require.Len(t, texts, 1)
	_, err = s.Credentials.MakeTickets(t.Context(), []store.Ticket{
		ticket("other", time.Minute), ticket("shop", time.Minute),
	})
	require.ErrorIs(t, err, store.ErrTooManyTickets)
	_, err = s.Credentials.MakeTickets(t.Context(), []store.Ticket{ticket("other", time.Minute)})
	require.NoError(t, err, "another is not held up")

	_, err = tx.Exec(t.Context(), `UPDATE millrace.stream_tickets SET expires_at = now() - interval '1 hour'
		WHERE principal = 'shop'`)
	require.NoError(t, err)
	_, err = s.Credentials.MakeTickets(t.Context(), []store.Ticket{ticket("shop", time.Minute)})
	require.NoError(t, err, "they have expired")
}
