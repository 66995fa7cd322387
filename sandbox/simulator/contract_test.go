package simulator_test

import (
	"cmp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/simulator"
)

func TestContract(t *testing.T) {
	t.Parallel()
	type step struct {
		send
		want string
	}
	cases := []struct {
		name   string
		steps  []step
		ledger []string
	}{
		{"an order from quote to e-mail", []step{
			{authorize("a", "209.97"), "200"},
			{reserve("r", 7, 3, "69.99"), "200"},
			{quote("q"), "200"},
			{capture("c", "a", "209.97"), "200"},
			{ship("s"), "200"},
			{email("e", "order_completed"), "200"},
		}, []string{"authorize 209.97", "reserve", "quote", "capture 209.97", "ship", "email"}},
		{"an order undone", []step{
			{authorize("a", "5"), "200"},
			{reserve("r", 7, 3, "1"), "200"},
			{quote("q"), "200"},
			{capture("c", "a", "5"), "200"},
			{ship("s"), "200"},
			{cancelShipment("x"), "200"},
			{refund("f", "c", "5"), "200"},
			{release("l", "r"), "200"},
			{void("v", "a"), "200"},
		}, []string{
			"authorize 5.00", "reserve", "quote", "capture 5.00", "ship", "cancel_shipment", "refund 5.00", "release",
		}},
		{"a repeated key has its first answer and no effect", []step{
			{authorize("a", "5"), "200"},
			{authorize("a", "5"), "200"},
			{authorizeBy("d", "5", "card_declined"), "402 card_declined"},
			{authorizeBy("d", "5", "card_declined"), "402 card_declined"},
			{capture("c", "a", "6"), "422 amount_too_large"},
			{capture("c", "a", "6"), "422 amount_too_large"},
		}, []string{"authorize 5.00"}},
		{"a repeated key has its first answer also after its undo", []step{
			{authorize("a", "5"), "200"}, {void("v", "a"), "200"}, {authorize("a", "5"), "200"},
		}, []string{"authorize 5.00", "void 5.00"}},
		{"a key with other bytes", []step{
			{authorize("a", "5"), "200"},
			{authorize("a", "5.00"), "422 key_reused"},
			{authorize("a", "5"), "200"},
			{void("a", "a"), "422 key_reused"},
		}, []string{"authorize 5.00"}},
		{"providers do not share keys", []step{
			{authorize("k", "5"), "200"}, {reserve("k", 1, 1, "1"), "200"}, {quote("k"), "200"},
		}, []string{"authorize 5.00", "reserve", "quote"}},
		{"magic values", []step{
			{authorizeBy("a", "1", "insufficient_funds"), "402 insufficient_funds"},
			{reserve("r", 9999, 1, "1"), "422 out_of_stock"},
			{reserve("s", 9998, 1_000_000, "1"), "200"},
		}, []string{"reserve"}},
		{"an undo with nothing to undo keeps out what comes late", []step{
			{void("v", "a"), "200"},
			{authorize("a", "1"), "422 undone"},
			{capture("c", "a", "1"), "422 authorization_voided"},
			{refund("f", "c2", "1"), "200"},
			{capture("c2", "a", "1"), "422 undone"},
			{release("l", "r"), "200"},
			{reserve("r", 1, 1, "1"), "422 undone"},
			{quote("q"), "200"},
			{cancelShipment("x"), "200"},
			{ship("s"), "422 undone"},
		}, []string{"quote"}},
		{"an undo takes effect once, under whatever keys", []step{
			{authorize("a", "9"), "200"},
			{capture("c", "a", "4"), "200"},
			{void("v", "a"), "200"},
			{void("v2", "a"), "200"},
			{refund("f", "c", "4"), "200"},
			{refund("f2", "c", "4"), "200"},
			{reserve("r", 1, 1, "1"), "200"},
			{release("l", "r"), "200"},
			{release("l2", "r"), "200"},
			{quote("q"), "200"},
			{ship("s"), "200"},
			{cancelShipment("x"), "200"},
			{cancelShipment("x2"), "200"},
		}, []string{
			"authorize 9.00", "capture 4.00", "void 5.00", "refund 4.00", "reserve", "release", "quote", "ship",
			"cancel_shipment",
		}},
		{"captures", []step{
			{capture("c0", "a", "1"), "422 authorization_missing"},
			{authorize("a", "9"), "200"},
			{capture("c1", "a", "9.01"), "422 amount_too_large"},
			{capture("c2", "a", "9").as(orderB), "422 order_mismatch"},
			{inEuro(capture("c3", "a", "1")), "422 currency_mismatch"},
			{capture("c4", "a", "4"), "200"},
			{capture("c5", "a", "5.01"), "422 amount_too_large"},
			{capture("c6", "a", "5"), "200"},
			{capture("c7", "c6", "1"), "422 authorization_missing"},
		}, []string{"authorize 9.00", "capture 4.00", "capture 5.00"}},
		{"a capture after the void", []step{
			{authorize("a", "9"), "200"}, {void("v", "a"), "200"}, {capture("c", "a", "9"), "422 authorization_voided"},
		}, []string{"authorize 9.00", "void 9.00"}},
		{"refunds", []step{
			{authorize("a", "9"), "200"},
			{capture("c", "a", "9"), "200"},
			{refund("f1", "c", "9.01"), "422 amount_too_large"},
			{inEuro(refund("f0", "c", "1")), "422 currency_mismatch"},
			{refund("f2", "c", "4"), "200"},
			{refund("f3", "c", "9"), "422 amount_too_large"},
			{refund("f4", "c", "5"), "200"},
			{refund("f5", "c", "1").as(orderB), "422 order_mismatch"},
		}, []string{"authorize 9.00", "capture 9.00", "refund 4.00", "refund 5.00"}},
		{"undos of another order's keys", []step{
			{authorize("a", "9"), "200"},
			{void("v", "a").as(orderB), "422 order_mismatch"},
			{capture("c", "a", "9"), "200"},
			{reserve("r", 1, 1, "1"), "200"},
			{release("l", "r").as(orderB), "422 order_mismatch"},
			{quote("q"), "200"},
			{ship("s0").as(orderB), "422 order_mismatch"},
			{ship("s"), "200"},
			{cancelShipment("x").as(orderB), "422 order_mismatch"},
		}, []string{"authorize 9.00", "capture 9.00", "reserve", "quote", "ship"}},
		{"a shipment without its quote", []step{{ship("s"), "422 quote_missing"}}, []string{}},
		{"malformed requests leave their key unused", []step{
			{authorize("", "5"), "400 bad_request"},
			{authorize(strings.Repeat("k", 256), "5"), "400 bad_request"},
			{authorize("a", `"5"`), "400 bad_request"},
			{authorize("a", "5.001"), "400 bad_request"},
			{authorize("a", "5e1"), "400 bad_request"},
			{authorize("a", "null"), "400 bad_request"},
			{authorize("a", "5").as("no-uuid"), "400 bad_request"},
			{reserve("r", 0, 1, "1"), "400 bad_request"},
			{reserve("r", 1, 0, "1"), "400 bad_request"},
			{email("e", "spam"), "400 bad_request"},
			{send{"/payments/voids", "v", "{} {}"}, "400 bad_request"},
			{send{"/payments/voids", "v", "["}, "400 bad_request"},
			{post("/payments/voids", "v", `"authorizationKey":"a","extra":1`), "400 bad_request"},
			{send{"/payments/voids", "v", strings.Repeat(" ", 1<<20+1)}, "413 too_large"},
			{send{"/payments/nonsense", "v", "{}"}, "404 not_found"},
			{authorize("a", "5"), "200"},
			{void("v", "a"), "200"},
		}, []string{"authorize 5.00", "void 5.00"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := start(t, simulator.Config{})
			ids := map[string]string{}
			for i, step := range c.steps {
				got := sim.send(step.send)
				require.Equal(t, step.want, got.said(), "step %d: %s %s", i, step.path, got.Detail)
				if got.status == 200 {
					require.NotEmpty(t, got.ID)
					at := step.path + step.key
					require.Equal(t, got.ID, cmp.Or(ids[at], got.ID), "a repeated key has the same id")
					ids[at] = got.ID
				}
			}
			require.Equal(t, c.ledger, effects(sim.Ledger()))
		})
	}
}

func inEuro(s send) send {
	s.body = strings.Replace(s.body, `"USD"`, `"EUR"`, 1)
	return s
}

func TestWhatBecameOfAKey(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	key := orderA + ":authorize_payment:1"
	require.Equal(t, "404 not_found", sim.get("/payments/operations/"+key).said())

	done := sim.send(authorize(key, "5"))
	got := sim.get("/payments/operations/" + key)
	require.Equal(t, "succeeded", got.State)
	require.Equal(t, done.ID, got.ID)
	require.Equal(t, "404 not_found", sim.get("/shipping/operations/"+key).said(), "another provider knows nothing")

	sim.send(authorizeBy("declined", "5", "card_declined"))
	got = sim.get("/payments/operations/declined")
	require.Equal(t, "refused", got.State)
	require.Equal(t, "card_declined", got.Code)

	sim.send(void("undo", "never"))
	require.Equal(t, "succeeded", sim.get("/payments/operations/undo").State)
	require.Equal(t, 404, sim.get("/payments/operations/never").status, "a key that never arrived")
}

func TestSameKeyAtTheSameTime(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{Path: t.TempDir() + "/ledger"})
	sim.send(authorize("a", "9"))
	const callers = 40
	replies := make([]reply, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() { replies[i] = sim.send(capture("c", "a", "9")) })
	}
	group.Wait()
	for _, r := range replies {
		require.Equal(t, replies[0], r)
		require.Equal(t, 200, r.status)
	}
	require.Equal(t, []string{"authorize 9.00", "capture 9.00"}, effects(sim.Ledger()))
	require.Equal(t, callers, sim.Keys()[1].Sends)
	require.Empty(t, sim.Summary().Violations)
}
