package store_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestForget forgets a customer whose orders, steps, commands and audit entries have an address and an e-mail address.
// No row of any table has them afterwards, the money is as before, and verification finds nothing wrong.
func TestForget(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	s := storetest.New(t, pool)
	place := func(customer, email, key string) orders.Order {
		p := storetest.Placement()
		p.CustomerID, p.CustomerEmail, p.IdempotencyKey = customer, email, key
		p.ShippingAddress = &orders.Address{
			Name: "Ada Lovelace", Line1: "12 St James's Square", City: "Londinium", PostalCode: "SW1Y 4JH", Country: "GB",
		}
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		require.NoError(t, err)
		require.NoError(t, placed[0].Err)
		return placed[0].Order
	}
	kept := place("else", "else@example.com", "else")
	others := mentions(t, pool, "Londinium")
	require.NotZero(t, others)
	first, second := place("gone", "gone@example.com", "a"), place("gone", "gone@example.com", "b")
	by := store.Actor{Name: "cli:test", Role: "admin"}
	_, err := s.Customers.Forget(t.Context(), "gone", by)
	var unfinished *store.UnfinishedError
	require.ErrorAs(t, err, &unfinished)
	require.Equal(t, int64(2), unfinished.Orders)

	completeAll(t, s, first.ID, second.ID)
	_, err = s.Customers.Forget(t.Context(), "gone", by)
	require.ErrorAs(t, err, &unfinished, "the e-mail is still to be sent")
	for _, id := range []orders.ID{first.ID, second.ID} {
		_, err := s.Orders.Apply(t.Context(), []orders.Event{outcome(id, orders.SendEmail)})
		require.NoError(t, err)
	}
	require.NoError(t, s.Audit.Write(t.Context(), []store.AuditEntry{{
		Actor: by, Action: "POST", Target: "/", Detail: map[string]any{"body": "to gone@example.com"},
	}}))
	before, err := s.Orders.Get(t.Context(), first.ID)
	require.NoError(t, err)
	require.NotZero(t, mentions(t, pool, "gone@example.com"))

	forgotten, err := s.Customers.Forget(t.Context(), "gone", by)
	require.NoError(t, err)
	require.Equal(t, int64(2), forgotten.Orders)
	require.Empty(t, forgotten.Files)
	require.Zero(t, mentions(t, pool, "gone@example.com"))
	require.Equal(t, others, mentions(t, pool, "Londinium"), "those of the other customer")
	after, err := s.Orders.Get(t.Context(), first.ID)
	require.NoError(t, err)
	before.CustomerEmail, before.ShippingAddress = "", nil
	require.Equal(t, before, after)
	read, err := s.Orders.Get(t.Context(), kept.ID)
	require.NoError(t, err)
	require.Equal(t, "else@example.com", read.CustomerEmail)
	notifications, err := s.Notifications.List(t.Context(), store.NotificationFilter{CustomerID: "gone", Limit: 10})
	require.NoError(t, err)
	require.Len(t, notifications, 2)
	require.Empty(t, notifications[0].Recipient)
	require.NotEmpty(t, notifications[0].Template)

	found, err := s.Verifier.Verify(t.Context(), store.VerifyOptions{Deep: true})
	require.NoError(t, err)
	require.Equal(t, []string{"leader"}, checks(found))
	_, err = pool.Exec(t.Context(), "DELETE FROM millrace.audit_log")
	require.ErrorContains(t, err, "audit_log is append-only")
	require.Equal(t, 2, count(t, pool, `SELECT count(*) FROM millrace.audit_log
		WHERE action = 'customers.forget' AND target = 'gone'`))

	again, err := s.Customers.Forget(t.Context(), "gone", by)
	require.NoError(t, err)
	require.Zero(t, again.Orders)
}

// mentions counts the rows of all tables that have a text, as text or as bytes.
func mentions(t *testing.T, db store.DB, text string) (all int) {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT quote_ident(relname) FROM pg_catalog.pg_class
		WHERE relnamespace = 'millrace'::regnamespace AND relkind = 'r'`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		var found int
		require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*) FROM millrace.`+table+` r
			WHERE strpos(r::text, $1) > 0 OR strpos(r::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0`, text).Scan(&found))
		all += found
	}
	return all
}
