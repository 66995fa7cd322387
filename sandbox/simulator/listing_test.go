package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestListing pages through what took effect in a span of time: the beginning belongs to it, the end does not, and
// neither do refusals, repeats, undos of nothing or other providers.
func TestListing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sim := start(t, simulator.Config{Now: func() time.Time { return now }})
	for i := range 6 {
		sim.send(authorize(fmt.Sprint("a", i), "5"))
		now = now.Add(time.Minute)
	}
	sim.send(authorize("a1", "5"))
	sim.send(authorizeBy("d", "1", "card_declined"))
	sim.send(void("v", "never"))
	sim.send(quote("q"))
	list := func(provider, since, until, limit, cursor string) (keys []string, next, raw string) {
		t.Helper()
		query := url.Values{"since": {since}, "until": {until}, "limit": {limit}, "cursor": {cursor}}
		got := sim.get("/" + provider + "/operations?" + query.Encode())
		var page struct {
			Operations []struct{ Key string }
			Next       string
		}
		require.NoError(t, json.Unmarshal([]byte(got.raw), &page))
		for _, o := range page.Operations {
			keys = append(keys, o.Key)
		}
		return keys, page.Next, got.raw
	}
	keys, next, _ := list("payments", "2026-03-01T12:01:00Z", "2026-03-01T12:05:00Z", "3", "")
	require.Equal(t, []string{"a1", "a2", "a3"}, keys)
	keys, next, _ = list("payments", "2026-03-01T12:01:00Z", "2026-03-01T12:05:00Z", "3", next)
	require.Equal(t, []string{"a4"}, keys)
	require.Empty(t, next)
	_, _, raw := list("payments", "2026-03-01T12:05:00Z", "2026-03-01T13:00:00Z", "3", "")
	require.JSONEq(t, fmt.Sprintf(`{"operations":[{"key":"a5","operation":"authorizations","orderId":%q,"id":%q,
		"amount":5.00,"currency":"USD","at":"2026-03-01T12:05:00Z"}]}`, orderA,
		sim.get("/payments/operations/a5").ID), raw)
	keys, _, _ = list("shipping", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "3", "")
	require.Equal(t, []string{"q"}, keys)

	require.Equal(t, "400 bad_request", sim.get("/payments/operations").said())
	require.Equal(t, "400 bad_request", sim.get("/payments/operations?since=2026-03-01T12:05:00Z&until=x&limit=1").said())
}

// A fault can be limited to the list of a provider. The provider's other operations, and other lists, go on.
func TestListFails(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	require.NoError(t, sim.SetFaults(simulator.Faults{
		orders.Payment:  {ErrorRate: 1, Operations: []string{"list"}},
		orders.Shipping: {ErrorRate: 1, Operations: []string{"ship"}},
	}))
	const span = "/operations?since=2026-03-01T12:00:00Z&until=2026-03-01T12:05:00Z&limit=1"
	require.Equal(t, "503 unavailable", sim.get("/payments"+span).said())
	require.Equal(t, 200, sim.send(authorize("a", "5")).status)
	require.Equal(t, 200, sim.get("/payments/operations/a").status)
	require.Equal(t, 200, sim.get("/shipping"+span).status)
}

// TestExpiredAuthorization: nothing is left of it, so that voiding it is nothing to complain about.
func TestExpiredAuthorization(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	require.Equal(t, "200", sim.send(authorize("a", "5")).said())
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {ExpireRate: 1}}))
	require.Equal(t, "422 authorization_expired", sim.send(capture("c", "a", "5")).said())
	require.NoError(t, sim.SetFaults(nil))
	require.Equal(t, "422 authorization_expired", sim.send(capture("c", "a", "5")).said())
	require.Equal(t, "422 authorization_voided", sim.send(capture("c2", "a", "5")).said())
	require.Equal(t, "200", sim.send(void("v", "a")).said())
	require.Equal(t, []string{"authorize 5.00"}, effects(sim.Ledger()))
}
