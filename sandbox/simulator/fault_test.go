package simulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestFaults has one knob at a time turned up: what the client sees, what happened, and that a repeat without the fault
// ends well.
func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		fault simulator.Fault
		want  string // 0: no answer
		took  bool   // effect
		state string // of the key
		again string
	}{
		{"well", simulator.Fault{}, "200", true, "succeeded", "200"},
		{"latency", simulator.Fault{LatencyMs: 30, JitterMs: 10}, "200", true, "succeeded", "200"},
		{"error", simulator.Fault{ErrorRate: 1}, "503 unavailable", false, "", "200"},
		{"refuse", simulator.Fault{RefuseRate: 1}, "422 provider_refused", false, "refused", "422 provider_refused"},
		{"lost", simulator.Fault{LostRate: 1}, "0", true, "succeeded", "200"},
		{"sticky", simulator.Fault{StickyRate: 1}, "500 internal_error", true, "succeeded", "500 internal_error"},
		{"down", simulator.Fault{Down: true}, "0", false, "", "200"},
		{"another operation", simulator.Fault{Down: true, Operations: []string{"void"}}, "200", true, "succeeded", "200"},
		{"this operation", simulator.Fault{Down: true, Operations: []string{"authorize"}}, "0", false, "", "200"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sim := start(t, simulator.Config{})
			require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: c.fault}))
			began := time.Now()
			require.Equal(t, c.want, sim.send(authorize("a", "5")).said())
			require.GreaterOrEqual(t, time.Since(began), time.Duration(c.fault.LatencyMs)*time.Millisecond)
			require.Equal(t, c.took, len(sim.Ledger()) == 1)
			require.Equal(t, "200", sim.send(quote("q")).said(), "other providers are well")

			require.NoError(t, sim.SetFaults(nil))
			require.Equal(t, c.state, sim.get("/payments/operations/a").State)
			require.Equal(t, c.again, sim.send(authorize("a", "5")).said())
			require.LessOrEqual(t, len(sim.Ledger()), 2, "one authorisation, one quote")
		})
	}
}

// What is answered says nothing of what was done.
func TestGarbled(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {GarbleRate: 1}}))
	for i := range 50 {
		got := sim.send(authorize(fmt.Sprint(i), "5"))
		require.Equal(t, 200, got.status)
		require.JSONEq(t, `{"status":"pending"}`, got.raw)
	}
	require.NotEmpty(t, sim.Ledger())
	require.Less(t, len(sim.Ledger()), 50)
}

func TestDownAnswersNothing(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	sim.send(authorize("a", "5"))
	sim.send(reserve("r", 1, 1, "1"))
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {Down: true}, orders.Inventory: {Down: true}}))
	require.Equal(t, "0", sim.get("/payments/operations/a").said())
	require.Equal(t, "0", sim.get("/inventory/stock").said())
	require.Equal(t, "0", sim.send(authorize("a", "5")).said())
	require.Equal(t, 1, sim.Keys()[0].Sends, "a send to a provider that is down does not arrive")
	require.Equal(t, 200, sim.get("/ledger").status, "the simulator itself is up")
}

func TestHangEndsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {HangRate: 1}}))
	s := authorize("a", "5")
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	request := httptest.NewRequestWithContext(ctx, http.MethodPost, s.path, strings.NewReader(s.body))
	request.Header.Set("Idempotency-Key", s.key)
	began := time.Now()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		sim.Handler().ServeHTTP(httptest.NewRecorder(), request)
	})
	require.Less(t, time.Since(began), 30*time.Second, "it would be a minute if the client stayed")
	require.Error(t, ctx.Err(), "it would be at once if nothing hung")
	require.Empty(t, sim.Ledger())

	require.NoError(t, sim.SetFaults(nil))
	require.Equal(t, "200", sim.send(s).said())
	require.Equal(t, 2, sim.Keys()[0].Sends)
}

func TestCloseEndsCallsThatHang(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {HangRate: 1}}))
	hung := make(chan reply)
	go func() { hung <- sim.send(authorize("a", "5")) }()
	require.Eventually(t, func() bool { return len(sim.Keys()) == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, sim.Close())
	require.Equal(t, "0", (<-hung).said())
	require.NoError(t, sim.SetFaults(nil))
	require.Equal(t, "500 ledger_failed", sim.send(authorize("b", "5")).said())
	require.Empty(t, sim.Ledger())
}

func TestRefusalSparesUndosWithNothingToUndo(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	sim.send(authorize("a", "5"))
	require.NoError(t, sim.SetFaults(simulator.Faults{orders.Payment: {RefuseRate: 1}}))
	require.Equal(t, "200", sim.send(void("v1", "never")).said())
	require.Equal(t, "422 provider_refused", sim.send(void("v2", "a")).said())
	require.NoError(t, sim.SetFaults(nil))
	require.Equal(t, "200", sim.send(capture("c", "a", "5")).said(), "a refused void voids nothing")
}

func TestRatesFollowTheSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64, latency int) (statuses []int) {
		sim := start(t, simulator.Config{Seed: seed})
		require.NoError(t, sim.SetFaults(simulator.Faults{orders.Email: {ErrorRate: 0.5, JitterMs: latency}}))
		for i := range 40 {
			statuses = append(statuses, sim.send(email(fmt.Sprint(i), "order_failed")).status)
		}
		return statuses
	}
	first := run(1, 0)
	require.Contains(t, first, 200)
	require.Contains(t, first, 503)
	require.Equal(t, first, run(1, 1), "another knob does not change which calls fail")
	require.NotEqual(t, first, run(2, 0))
}

func TestPutFaults(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	for body, field := range map[string]string{
		`{"payment":{"latency":5}}`:              "latency",
		`{"payments":{}}`:                        "payments",
		`{"payment":{"errorRate":1.5}}`:          "payment.errorRate",
		`{"email":{"lostRate":-1}}`:              "email.lostRate",
		`{"payment":{"latencyMs":"5"}}`:          "latencyMs",
		`{"payment":{"jitterMs":-1}}`:            "payment.jitterMs",
		`{"payment":{"operations":["reserve"]}}`: "payment.operations[0]",
		`{"payment":{}} x`:                       "goes on",
		`{`:                                      "body",
	} {
		got := sim.put("/faults", body)
		require.Equal(t, "400 bad_request", got.said(), body)
		require.Contains(t, got.Detail, field)
	}
	require.Equal(t, 200, sim.put("/faults", `{"payment":{"latencyMs":1},"shipping":{"down":true}}`).status)
	require.Equal(t, 200, sim.put("/faults", `{"shipping":{"refuseRate":0.25,"operations":["ship"]}}`).status)
	all := sim.get("/faults").raw
	well := `{"latencyMs":0,"jitterMs":0,"errorRate":0,"refuseRate":0,"expireRate":0,"hangRate":0,"lostRate":0,` +
		`"stickyRate":0,"garbleRate":0,"down":false}`
	ill := strings.NewReplacer(`"refuseRate":0`, `"refuseRate":0.25`, "}", `,"operations":["ship"]}`).Replace(well)
	require.JSONEq(t, `{"payment":`+well+`,"inventory":`+well+`,"shipping":`+ill+`,"email":`+well+`}`, all)
	require.Equal(t, all, sim.put("/faults", all).raw, "what GET says can be PUT")
}
