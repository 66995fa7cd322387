package simulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestInvariants plays random operations, repeats, undos and restarts of few orders, and checks after each what must
// hold whatever Millrace sends.
func TestInvariants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &machine{
			path: filepath.Join(dir, fmt.Sprint(runs)), answers: map[send]string{}, undone: map[string]bool{},
		}
		m.open(rt)
		defer func() { require.NoError(rt, m.sim.Close()) }()
		m.put(rt, "/inventory/stock", `{"productId":1,"quantity":10}`)
		rt.Repeat(map[string]func(*rapid.T){
			"":       m.check,
			"call":   m.call,
			"repeat": m.repeat,
			"reopen": m.reopen,
		})
	})
}

type machine struct {
	path string
	sim  *simulator.Simulator

	sent    []send
	answers map[send]string // the first one
	undone  map[string]bool // by path and key, of what had not arrived before
}

func (m *machine) open(t *rapid.T) {
	sim, err := simulator.Open(simulator.Config{Path: m.path})
	require.NoError(t, err)
	m.sim = sim
}

func (m *machine) reopen(t *rapid.T) {
	ledger, stock := m.sim.Ledger(), m.sim.Stock()
	require.NoError(t, m.sim.Close())
	m.open(t)
	require.Equal(t, ledger, m.sim.Ledger())
	require.Equal(t, stock, m.sim.Stock())
}

// call sends something new, with keys that meet each other often. The body follows from the key.
func (m *machine) call(t *rapid.T) {
	n := func(label string) int { return rapid.IntRange(1, 4).Draw(t, label) }
	self, other := n("key"), n("refers to")
	amount := fmt.Sprint(self)
	key := func(kind string, i int) string { return fmt.Sprint(kind, i) }
	undo := func(kind string) string { return fmt.Sprint("undo-", kind, other, "-", self) }
	var s send
	var undoes string // path and key
	switch rapid.IntRange(0, 5).Draw(t, "operation") {
	case 0:
		s = authorize(key("a", self), amount)
	case 1:
		s = capture(key("c", other), key("a", other%2+1), fmt.Sprint(other))
	case 2:
		s, undoes = void(undo("a"), key("a", other)), "/payments/authorizations"+key("a", other)
	case 3:
		s, undoes = refund(undo("c"), key("c", other), amount), "/payments/captures"+key("c", other)
	case 4:
		s = reserve(key("r", self), 1, self, "1")
	case 5:
		s, undoes = release(undo("r"), key("r", other)), "/inventory/reservations"+key("r", other)
	}
	m.send(t, s)
	arrived := slices.ContainsFunc(m.sent, func(s send) bool { return s.path+s.key == undoes })
	if undoes != "" && m.answers[s] == "200" && !arrived {
		m.undone[undoes] = true
	}
}

func (m *machine) repeat(t *rapid.T) {
	if len(m.sent) == 0 {
		t.Skip("nothing was sent")
	}
	m.send(t, rapid.SampledFrom(m.sent).Draw(t, "send"))
}

func (m *machine) send(t *rapid.T, s send) {
	got := m.do(http.MethodPost, s.path, s.key, s.body)
	if first, repeated := m.answers[s]; repeated {
		require.Equal(t, first, got, "a repeated key has its first answer")
		return
	}
	m.answers[s] = got
	m.sent = append(m.sent, s)
	if m.undone[s.path+s.key] {
		require.Equal(t, "422 undone", got)
	}
}

func (m *machine) put(t *rapid.T, path, body string) {
	require.Equal(t, "200", m.do(http.MethodPut, path, "", body))
}

func (m *machine) do(method, path, key, body string) string {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Idempotency-Key", key)
	recorder := httptest.NewRecorder()
	m.sim.Handler().ServeHTTP(recorder, request)
	if recorder.Code == http.StatusOK {
		return "200"
	}
	_, code, _ := strings.Cut(recorder.Body.String(), `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return fmt.Sprint(recorder.Code, " ", code)
}

// check adds up the ledger on its own; Summary must find nothing either but what this test does on purpose.
func (m *machine) check(t *rapid.T) {
	authorized, captured, refunded := map[string]orders.Money{}, map[string]orders.Money{}, map[string]orders.Money{}
	taken, left := orders.Money(0), int64(10)
	keys := map[string]bool{}
	for _, e := range m.sim.Ledger() {
		require.False(t, keys[e.Key], "%s was executed twice", e.Key)
		keys[e.Key] = true
		switch e.Operation {
		case "authorize":
			authorized[e.Key] = e.Money()
		case "capture":
			captured[e.Key] = e.Money()
			taken += e.Money()
			authorized[e.RefersTo] -= e.Money()
			require.GreaterOrEqual(t, authorized[e.RefersTo], orders.Money(0), "captured more than authorised")
		case "void":
			require.Equal(t, authorized[e.RefersTo], e.Money(), "a void releases the rest")
			authorized[e.RefersTo] = 0
		case "refund":
			refunded[e.RefersTo] += e.Money()
			require.LessOrEqual(t, refunded[e.RefersTo], captured[e.RefersTo], "refunded more than captured")
		case "reserve":
			left -= e.Items[0].Quantity
		case "release":
			left += e.Items[0].Quantity
		}
		require.GreaterOrEqual(t, left, int64(0), "stock below zero")
	}
	stock := m.sim.Stock()[0]
	require.Equal(t, []int64{left, 10 - left}, []int64{stock.Quantity, stock.Reserved})
	for _, v := range m.sim.Summary().Violations {
		require.Contains(t, []string{"two_captures", "two_live_reservations"}, v.Rule)
	}
}
