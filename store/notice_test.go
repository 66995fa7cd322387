package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

var operator = store.Owner{Principal: "operator", Operator: true}

func forOperator(n *store.NewWebhook) { n.Owner = operator }

// watch is a database of a test's own, with a clock that the test moves.
type watch struct {
	*testing.T
	store *store.Store
	exec  func(sql string, args ...any)
	ahead time.Duration
}

func newWatch(t *testing.T) *watch {
	t.Helper()
	pool := storetest.Pool(t)
	w := &watch{T: t, exec: func(sql string, args ...any) {
		t.Helper()
		_, err := pool.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}}
	began := time.Now()
	var err error
	now := func() time.Time { return began.Add(w.ahead) }
	w.store, err = store.New(store.Config{DB: pool, Now: now, MailsOperator: true})
	require.NoError(t, err)
	return w
}

// look returns what operators are told, as "type cause".
func (w *watch) look() (told []string) {
	w.Helper()
	var list []orders.OperatorNotice
	require.NoError(w, again(func() (err error) {
		list, err = w.store.Notices.Look(w.Context(), "self", notice)
		return err
	}))
	for _, n := range list {
		told = append(told, notice(n))
	}
	return told
}

func notice(n orders.OperatorNotice) string { return fmt.Sprint(n.Type, " ", n.Cause) }

// shut has a live process whose breakers of these providers are open.
func (w *watch) shut(providers ...string) {
	w.Helper()
	require.NoError(w, w.store.Instances.Beat(w.Context(), "other", providers...))
}

// A cause is told once until it ends, and once an hour however often it comes and goes.
func TestNoticeOnce(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	w.shut("payment")
	require.Equal(t, []string{"BreakerOpen payment"}, w.look())
	require.Empty(t, w.look())
	w.ahead += 2 * time.Hour
	require.Empty(t, w.look(), "it lasts")
	w.shut("shipping")
	require.Equal(t, []string{"BreakerOpen shipping"}, w.look())
	w.shut("payment", "shipping")
	require.Equal(t, []string{"BreakerOpen payment"}, w.look(), "it has ended, and was told more than an hour ago")
	for range 3 {
		w.ahead += time.Minute
		w.shut()
		require.Empty(t, w.look())
		w.shut("payment")
		require.Empty(t, w.look(), "it comes and goes")
	}
	w.ahead += time.Hour
	w.shut("payment")
	require.Equal(t, []string{"BreakerOpen payment"}, w.look(), "it is back, and was held back for an hour")
}

// After a large outage the look must not read every order that needs attention, every ten seconds.
func TestNoticesLookAtTheLatest(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	w.exec(`INSERT INTO orders (id, principal, customer_id, currency, total_minor, payment_method, version, status,
			standing, goal, reason, placed_at, updated_at, cause_step, cause_state, cause_code)
		SELECT gen_random_uuid(), 'p', n, 'USD', 1, 'card', 1, 'needs_attention', 'needs_attention', 'fail', '', now(), now(),
			'void_payment', 'refused', 'refused'
		FROM generate_series(1, $1::integer + 1) AS n`, store.LatestDeadLetters)
	var told []orders.OperatorNotice
	require.NoError(t, again(func() (err error) {
		told, err = w.store.Notices.Look(t.Context(), "self", notice)
		return err
	}))
	require.Len(t, told, 1)
	require.Equal(t, "Orders need an operator (at least 20000 now): void_payment refused: refused.", told[0].Message)
}

func TestNoticesBounded(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprint("provider", i))
	}
	w.shut(all...)
	require.Len(t, w.look(), 20)
	require.Empty(t, w.look())
	w.ahead += time.Hour
	w.shut(all...)
	require.Len(t, w.look(), 20, "those that still wait")
}

func TestNoticeKinds(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	beat := func() { require.NoError(t, w.store.Instances.Beat(t.Context(), "self")) }
	beat()
	require.NoError(t, w.store.Instances.Beat(t.Context(), "killed"))
	w.exec("UPDATE millrace.instances SET heartbeat_at = now() - interval '20 s' WHERE id = 'killed'")
	require.Empty(t, w.look(), "this process has just come back itself")
	w.exec("UPDATE millrace.instances SET live_since = now() - interval '1 min' WHERE id = 'self'")
	beat()
	require.Equal(t, []string{"InstanceLost killed"}, w.look())

	w.exec(`INSERT INTO millrace.river_leader (name, leader_id, elected_at, expires_at)
		VALUES ('default', 'other', now(), now() + interval '1 min')`)
	w.shut("email")
	require.Empty(t, w.look(), "the leader looks")
	w.exec("DELETE FROM millrace.river_leader")
	require.Equal(t, []string{"BreakerOpen email"}, w.look())

	order := storetest.Order(t, w.store)
	w.exec(`UPDATE millrace.orders SET status = 'needs_attention', cause_step = 'void_payment', cause_state = 'refused',
		cause_code = 'provider_refused', customer_email = 'ada@example.com' WHERE id = $1`, order.ID)
	require.Equal(t, []string{"NeedsAttention void_payment refused: provider_refused"}, w.look())
}

// Violations are told in the transaction that stores them, to webhooks of operators for all customers alone.
func TestNoticeOfViolation(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	theirs := makeWebhook(t, w.store, forOperator)
	shops := makeWebhook(t, w.store)
	narrow := makeWebhook(t, w.store, forOperator, func(n *store.NewWebhook) { n.CustomerID = "7" })
	others := makeWebhook(t, w.store, forOperator, func(n *store.NewWebhook) { n.EventTypes = []string{"BreakerOpen"} })
	save := func(checks ...string) {
		v := store.Verification{StartedAt: time.Now()}
		for _, check := range checks {
			v.Violations = append(v.Violations, store.Violation{Check: check, Count: 2, Means: "Money is unclear."})
		}
		require.NoError(t, again(func() error { return w.store.Verifier.Save(t.Context(), v, notice) }))
	}
	sent := func(owner store.Owner, hook store.Webhook) (bodies []string) {
		list, err := w.store.Deliveries.List(t.Context(), owner, hook.ID, store.DeliveryFilter{Limit: 100})
		require.NoError(t, err)
		for _, d := range list {
			bodies = append(bodies, d.Body)
		}
		return bodies
	}
	save("stuck", "dead_rows")
	save("stuck")
	save("stuck")
	require.ElementsMatch(t, []string{"InvariantViolated stuck", "InvariantViolated dead_rows"}, sent(operator, theirs))
	require.Empty(t, sent(hookOwner, shops))
	require.Empty(t, sent(operator, narrow))
	require.Empty(t, sent(operator, others))
}

// Only webhooks that would get such messages may ask for them.
func TestNoticeTypesRefused(t *testing.T) {
	t.Parallel()
	w := newWatch(t)
	types := []string{"BreakerOpen"}
	shops := makeWebhook(t, w.store)
	_, err := w.store.Webhooks.Change(t.Context(), hookOwner, shops.ID, store.WebhookChange{EventTypes: &types})
	require.ErrorAs(t, err, new(*orders.InvalidError))
	for _, owner := range []store.Owner{hookOwner, {Principal: "c", CustomerID: "7"}, operator} {
		_, err := w.store.Webhooks.Make(t.Context(), store.NewWebhook{
			Owner: owner, CustomerID: "7", URL: "https://a.example", Secret: make([]byte, 32), EventTypes: types,
		})
		require.ErrorAs(t, err, new(*orders.InvalidError))
	}
	theirs := makeWebhook(t, w.store, forOperator)
	_, err = w.store.Webhooks.Change(t.Context(), operator, theirs.ID, store.WebhookChange{EventTypes: &types})
	require.NoError(t, err)

	// An older release did not know what role its owner has.
	w.exec("UPDATE millrace.webhook_endpoints SET for_operators = false WHERE id = $1", theirs.ID)
	admin := store.Owner{Principal: "admin", All: true, Operator: true}
	changed, err := w.store.Webhooks.Change(t.Context(), admin, theirs.ID, store.WebhookChange{Description: new("x")})
	require.NoError(t, err)
	require.False(t, changed.ForOperators, "it is not this caller's")
	changed, err = w.store.Webhooks.Change(t.Context(), operator, theirs.ID, store.WebhookChange{Description: new("x")})
	require.NoError(t, err)
	require.True(t, changed.ForOperators)
}
