package simulator_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/private"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sim := start(t, simulator.Config{Now: func() time.Time { return now }})
	sim.send(authorize("a", "209.97"))
	sim.send(reserve("r", 7, 3, "69.99"))
	sim.send(authorize("b", "1").as(orderB))

	id := sim.get("/payments/operations/a").ID
	got := sim.get("/ledger?orderId=" + orderA + "&operation=authorize")
	require.JSONEq(t, fmt.Sprintf(`[{"provider":"payment","operation":"authorize","key":"a","orderId":%q,"amount":209.97,
		"currency":"USD","id":%q,"at":"2026-03-01T12:00:00Z",
		"requestSha256":"%x"}]`, orderA, id, sha256.Sum256([]byte(authorize("a", "209.97").body))), got.raw)

	var entries []simulator.Entry
	require.NoError(t, json.Unmarshal([]byte(sim.get("/ledger").raw), &entries))
	require.Equal(t, sim.Ledger(), entries)
	require.Equal(t, []simulator.Item{{ProductID: 7, Quantity: 3, Price: "69.99"}}, entries[1].Items)
	require.Equal(t, orders.Money(20997), entries[0].Money())
	require.JSONEq(t, "[]", sim.get("/ledger?orderId=none").raw)
}

func TestSummary(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	for _, s := range []send{
		authorize("a", "9"), authorize("a2", "9"), capture("c", "a", "4"), capture("c2", "a2", "9"),
		refund("f", "c", "4"), reserve("r", 1, 3, "1"), reserve("r2", 1, 1, "1"), release("l", "r"),
		quote("q"), ship("s"), cancelShipment("x"), ship("s2"), ship("s3"),
	} {
		require.Equal(t, "200", sim.send(s).said())
	}
	require.Equal(t, "422 key_reused", sim.send(authorize("a", "8")).said())
	require.Equal(t, "422 key_reused", sim.send(authorize("a", "7")).said())

	got := sim.get("/ledger/summary")
	require.JSONEq(t, fmt.Sprintf(`{
		"operations": {
			"authorize": {"count":2,"amounts":{"USD":18.00}}, "capture": {"count":2,"amounts":{"USD":13.00}},
			"refund": {"count":1,"amounts":{"USD":4.00}}, "reserve": {"count":2,"units":4},
			"release": {"count":1,"units":3}, "quote": {"count":1}, "ship": {"count":3}, "cancel_shipment": {"count":1}
		},
		"violations": [
			{"rule":"two_captures","provider":"payment","key":"c2","orderId":%[1]q},
			{"rule":"two_live_reservations","provider":"inventory","key":"r2","orderId":%[1]q},
			{"rule":"two_shipments","provider":"shipping","key":"s3","orderId":%[1]q},
			{"rule":"bytes_changed","provider":"payment","key":"a","orderId":%[1]q}
		]}`, orderA), got.raw)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/ledger"
	sim := start(t, simulator.Config{Path: path})
	sim.send(authorizeBy("d", "1", "card_declined"))
	sim.send(void("v", "d"))
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {ErrorRate: 1}}))
	sim.send(authorize("a", "1"))
	sim.send(authorize("a", "1"))
	sim.send(authorize("b", "1").as(orderB))

	var keys []simulator.Key
	require.NoError(t, json.Unmarshal([]byte(sim.get("/ledger/keys?orderId="+orderA).raw), &keys))
	short := func(k simulator.Key) string { return fmt.Sprint(k.Key, " ", k.State, " ", k.Code, " ", k.Sends) }
	require.Len(t, keys, 3)
	require.Equal(t, "d refusal card_declined 1", short(keys[0]))
	require.Equal(t, "v nothing never_seen 1", short(keys[1]))
	require.Equal(t, "a unsettled  2", short(keys[2]))

	require.NoError(t, sim.Close())
	again := start(t, simulator.Config{Path: path})
	again.send(void("v", "d"))
	require.Equal(t, "d refusal card_declined 0", short(again.Keys()[0]), "sends are of this run")
	require.Equal(t, "v nothing never_seen 1", short(again.Keys()[1]))
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/ledger"
	before := start(t, simulator.Config{Path: path})
	sends := []send{
		authorize("a", "9"), capture("c", "a", "4"), refund("f", "c", "1"), void("v", "late"),
		authorizeBy("d", "1", "card_declined"), reserve("r", 7, 4, "1.5"), quote("q"), ship("s"),
		email("e", "order_failed"), authorize("a", "8"),
	}
	before.put("/inventory/stock", `{"productId":7,"quantity":10}`)
	before.put("/inventory/prices", `{"productId":7,"price":1.50}`)
	first := make([]reply, len(sends))
	for i, s := range sends {
		first[i] = before.send(s)
	}
	require.NoError(t, before.Close())
	require.NoError(t, before.Close(), "twice does no harm")

	after := start(t, simulator.Config{Path: path})
	require.Equal(t, before.Ledger(), after.Ledger())
	require.Equal(t, before.Summary(), after.Summary())
	require.Equal(t, before.Stock(), after.Stock())
	for i, s := range sends {
		require.Equal(t, first[i], after.send(s))
	}
	require.Equal(t, "422 undone", after.send(authorize("late", "1")).said())
	require.Equal(t, "422 amount_too_large", after.send(refund("f2", "c", "3.01")).said())
	require.Equal(t, "422 amount_too_large", after.send(capture("c2", "a", "5.01")).said())
	require.Equal(t, "422 out_of_stock", after.send(reserve("r2", 7, 7, "1.5")).said())
	require.Equal(t, before.Ledger(), after.Ledger())
}

func TestTornLastLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	sim := start(t, simulator.Config{Path: path})
	sim.send(authorize("a", "1"))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	sim.send(authorize("b", "1"))
	both, err := os.ReadFile(path)
	require.NoError(t, err)

	for cut := len(whole); cut < len(both); cut += 13 {
		torn := filepath.Join(t.TempDir(), "torn")
		require.NoError(t, os.WriteFile(torn, both[:cut], 0o600))
		again := start(t, simulator.Config{Path: torn})
		require.Len(t, again.Ledger(), 1)
		require.Equal(t, "200", again.send(authorize("b", "1")).said())
		require.NoError(t, again.Close())
		require.Len(t, start(t, simulator.Config{Path: torn}).Ledger(), 2)
	}

	damaged := filepath.Join(t.TempDir(), "damaged")
	require.NoError(t, os.WriteFile(damaged, append([]byte("x"), both...), 0o600))
	_, err = simulator.Open(simulator.Config{Path: damaged})
	require.ErrorContains(t, err, "is damaged at byte 0")
	_, err = simulator.Open(simulator.Config{Path: filepath.Join(damaged, "below-a-file")})
	require.ErrorContains(t, err, "open ledger")
}

// TestKill kills a simulator in another process, with -9 and amid calls, three times: every effect that a caller was
// told of is in the ledger once, and its key answers as it did.
func TestKill(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/ledger"
	told := map[string]string{} // id by key
	for run := range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childLedger+"="+path)
		stdout, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		address, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		c := client{t, strings.TrimSpace(address)}

		for key, id := range told {
			require.Equal(t, id, c.send(authorize(key, "1")).ID)
		}
		authorizeUntilKilled(c, child, run, told)
		require.Error(t, child.Wait())
	}

	sim := start(t, simulator.Config{Path: path})
	executed := map[string]string{}
	for _, e := range sim.Ledger() {
		require.NotContains(t, executed, e.Key)
		executed[e.Key] = e.ID
	}
	for key, id := range told {
		require.Equal(t, id, executed[key])
	}
	require.GreaterOrEqual(t, len(told), 3*killAfter)
	require.Empty(t, sim.Summary().Violations)
}

const killAfter = 100 // answers

func authorizeUntilKilled(c client, child *exec.Cmd, run int, told map[string]string) {
	var mu sync.Mutex
	var group sync.WaitGroup
	answers := 0
	for caller := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprint(run, "-", caller, "-", i)
				got := c.send(authorize(key, "1"))
				if got.status == 0 {
					return
				}
				mu.Lock()
				told[key] = got.ID
				if answers++; answers == killAfter {
					_ = child.Process.Kill()
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// Two simulators on one file would each cut off what the other one is about to write.
func TestLedgerHasOneWriter(t *testing.T) {
	t.Parallel()
	config := simulator.Config{Path: filepath.Join(t.TempDir(), "ledger")}
	sim, err := simulator.Open(config)
	require.NoError(t, err)
	_, err = simulator.Open(config)
	require.ErrorIs(t, err, private.ErrInUse)
	require.NoError(t, sim.Close())
	again, err := simulator.Open(config)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// BenchmarkAuthorize shows how well concurrent calls share fsyncs.
func BenchmarkAuthorize(b *testing.B) {
	sim, err := simulator.Open(simulator.Config{Path: b.TempDir() + "/ledger"})
	require.NoError(b, err)
	handler := sim.Handler()
	var n atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := authorize(fmt.Sprint(n.Add(1)), "1")
			request := httptest.NewRequest(http.MethodPost, s.path, strings.NewReader(s.body))
			request.Header.Set("Idempotency-Key", s.key)
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != http.StatusOK {
				b.Error(recorder.Body)
			}
		}
	})
	require.NoError(b, sim.Close())
}
