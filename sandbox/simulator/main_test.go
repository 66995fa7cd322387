package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// TestMain also is the other process of TestKill: with childLedger set it serves that ledger until it is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(childLedger); path != "" {
		panic(serve(path))
	}
	goleak.VerifyTestMain(m)
}

const childLedger = "SIMULATOR_TEST_LEDGER"

func serve(path string) error {
	sim, err := simulator.Open(simulator.Config{Path: path})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	server := http.Server{Handler: sim.Handler(), ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}

const (
	orderA = "0190d6c8-0000-7000-8000-00000000000a"
	orderB = "0190d6c8-0000-7000-8000-00000000000b"
)

type bundle struct {
	*simulator.Simulator
	client
}

// start runs a simulator for the length of the test.
func start(t *testing.T, c simulator.Config) bundle {
	t.Helper()
	sim, err := simulator.Open(c)
	require.NoError(t, err)
	server := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		require.NoError(t, sim.Close()) // first: it lets go of calls that hang
		server.Close()
	})
	return bundle{sim, client{t, server.URL}}
}

type client struct {
	t    *testing.T
	base string
}

type reply struct {
	status                  int // 0: no answer
	ID, Code, Detail, State string
	raw                     string
}

// said is the reply in short: "200", "422 undone".
func (r reply) said() string { return strings.TrimSpace(fmt.Sprint(r.status, " ", r.Code)) }

// do makes a call on a connection of its own: on a used one, net/http itself would repeat a POST with an
// Idempotency-Key after the connection was dropped, and the test would not see the drop.
func (c client) do(method, path, key, body string) reply {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return reply{}
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return reply{}
	}
	require.NoError(c.t, err)
	r := reply{status: response.StatusCode, raw: string(raw)}
	_ = json.Unmarshal(raw, &r) // not every body is an object
	return r
}

func (c client) get(path string) reply       { return c.do(http.MethodGet, path, "", "") }
func (c client) put(path, body string) reply { return c.do(http.MethodPut, path, "", body) }
func (c client) send(s send) reply           { return c.do(http.MethodPost, s.path, s.key, s.body) }

// send is a POST of the contract.
type send struct{ path, key, body string }

func post(path, key, rest string, args ...any) send {
	body := fmt.Sprintf(`{"orderId":%q,"customerId":"alice",`, orderA) + fmt.Sprintf(rest, args...) + "}"
	return send{path, key, body}
}

func authorize(key, amount string) send { return authorizeBy(key, amount, "card") }

func authorizeBy(key, amount, method string) send {
	return post("/payments/authorizations", key, `"amount":%s,"currency":"USD","paymentMethod":%q`, amount, method)
}

func capture(key, of, amount string) send {
	return post("/payments/captures", key, `"amount":%s,"currency":"USD","authorizationKey":%q`, amount, of)
}

func void(key, of string) send {
	return post("/payments/voids", key, `"authorizationKey":%q`, of)
}

func refund(key, of, amount string) send {
	return post("/payments/refunds", key, `"amount":%s,"currency":"USD","captureKey":%q`, amount, of)
}

func reserve(key string, product, quantity int, price string) send {
	return post("/inventory/reservations", key,
		`"currency":"USD","items":[{"productId":%d,"quantity":%d,"price":%s}]`, product, quantity, price)
}

func release(key, of string) send {
	return post("/inventory/releases", key, `"reservationKey":%q`, of)
}

func quote(key string) send {
	return post("/shipping/quotes", key,
		`"currency":"USD","items":[{"productId":1,"quantity":1,"price":1}],"address":null`)
}

// ship books under quote q.
func ship(key string) send {
	return post("/shipping/shipments", key,
		`"quoteKey":"q","address":{"line1":"1 Main St","city":"Springfield","country":"US"}`)
}

// cancelShipment undoes shipment s.
func cancelShipment(key string) send {
	return post("/shipping/cancellations", key, `"shipmentKey":"s"`)
}

func email(key, template string) send {
	return post("/email/messages", key, `"template":%q,"amount":1,"currency":"USD","reason":""`, template)
}

// as makes the same call for another order.
func (s send) as(order string) send {
	s.body = strings.Replace(s.body, orderA, order, 1)
	return s
}

// effects is the ledger in short: "capture 9.99".
func effects(entries []simulator.Entry) []string {
	short := []string{}
	for _, e := range entries {
		short = append(short, strings.TrimSpace(e.Operation+" "+string(e.Amount)))
	}
	return short
}
