package store_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestDeadLetterGroups: the cause is written with the status, and goes with it.
func TestDeadLetterGroups(t *testing.T) {
	t.Parallel()
	tx := storetest.Tx(t)
	s := storetest.New(t, tx)
	var ids []orders.ID
	for _, kind := range []orders.EventKind{orders.StepRefused, orders.StepRefused, orders.StepUnknown} {
		id := storetest.Order(t, s).ID
		ids = append(ids, id)
		for _, e := range []orders.Event{
			outcome(id, orders.AuthorizePayment), outcome(id, orders.QuoteShipping),
			storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused), storetest.Outcome(id, orders.VoidPayment, kind),
		} {
			_, err := s.Orders.Apply(t.Context(), []orders.Event{e})
			require.NoError(t, err)
		}
	}
	refused := orders.Cause{Step: orders.VoidPayment, State: orders.StateRefused, Code: "refused"}
	unknown := orders.Cause{Step: orders.VoidPayment, State: orders.StateUnknown, Code: "unknown"}
	groups := func() map[orders.Cause]int64 {
		list, err := s.DeadLetters.Groups(t.Context(), 10)
		require.NoError(t, err)
		found := map[orders.Cause]int64{}
		for _, g := range list {
			found[g.Cause] = g.Orders
		}
		return found
	}
	require.Equal(t, map[orders.Cause]int64{refused: 2, unknown: 1}, groups())
	for cause, want := range map[orders.Cause]int{
		refused: 2, unknown: 1, {}: 3, {Step: orders.VoidPayment}: 3, {State: orders.StateUnknown}: 1, {Code: "refused"}: 2,
		{Step: orders.RefundPayment}: 0, {Code: "provider_refused"}: 0,
	} {
		job := orders.RedriveJob{Cause: cause, OrderIDs: []orders.ID{}, At: time.Now().Add(time.Hour)}
		found, err := s.DeadLetters.List(t.Context(), job, orders.ID{}, 10)
		require.NoError(t, err)
		require.Len(t, found, want, cause)
		n, err := s.DeadLetters.Count(t.Context(), job)
		require.NoError(t, err)
		require.Equal(t, int64(want), n, cause)
		listed, err := s.Orders.List(t.Context(), store.Filter{Status: orders.NeedsAttention, Cause: cause, Limit: 10})
		require.NoError(t, err)
		require.Len(t, listed, want, cause)
	}

	_, err := s.Orders.Apply(t.Context(), []orders.Event{{
		OrderID: ids[0], Kind: orders.RetryRequested, At: time.Now(), Principal: "p", Reason: "r",
	}})
	require.NoError(t, err)
	require.Equal(t, map[orders.Cause]int64{refused: 1, unknown: 1}, groups())
	var left int
	require.NoError(t, tx.QueryRow(t.Context(), `SELECT count(*) FROM millrace.orders
		WHERE (cause_step = '') <> (status <> 'needs_attention')`).Scan(&left))
	require.Zero(t, left, "orders that need none have a cause, or the others none")
}

// TestCauseOfEarlierOrders: orders that needed attention before there was a column get their cause from the sentence.
func TestCauseOfEarlierOrders(t *testing.T) {
	t.Parallel()
	pool := migrationPool(t, storetest.EmptyURL(t))
	require.NoError(t, store.MigrateTo(t.Context(), pool, 28))
	for status, reason := range map[string]string{
		"needs_attention": "void_payment refused: provider_refused",
		"failed":          "authorize_payment refused: card_declined",
		"completed":       "",
	} {
		_, err := pool.Exec(t.Context(), `INSERT INTO millrace.orders (id, principal, customer_id, currency, total_minor,
			payment_method, version, status, goal, reason, placed_at, updated_at)
			VALUES (gen_random_uuid(), 'p', '1', 'USD', 1, 'card', 1, $1, 'fail', $2, now(), now())`, status, reason)
		require.NoError(t, err)
	}
	_, err := pool.Exec(t.Context(), `INSERT INTO millrace.orders (id, principal, customer_id, currency, total_minor,
		payment_method, version, status, goal, reason, placed_at, updated_at)
		VALUES (gen_random_uuid(), 'p', '1', 'USD', 1, 'card', 1, 'needs_attention', 'complete',
			'refund_payment unknown: The bank: "we do not know"', now(), now())`)
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	groups, err := storetest.New(t, pool).DeadLetters.Groups(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, groups, 2)
	require.Equal(t, orders.Cause{Step: orders.RefundPayment, State: orders.StateUnknown, Code: "declared"},
		groups[0].Cause)
	require.Equal(t, orders.Cause{Step: orders.VoidPayment, State: orders.StateRefused, Code: "provider_refused"},
		groups[1].Cause)
	require.Equal(t, 2, count(t, pool, "SELECT count(*) FROM millrace.orders WHERE cause_step = ''"))
}
