package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	orderA = "0190d6c8-0000-7000-8000-00000000000a"
	orderB = "0190d6c8-0000-7000-8000-00000000000b"
)

type bench struct {
	t       *testing.T
	url     string
	gateway *fakeGateway
}

func start(t *testing.T) *bench {
	t.Helper()
	ledger := &Ledger{pool: storetest.Pool(t)}
	require.NoError(t, ledger.Create(t.Context()))
	gateway := &fakeGateway{answers: map[string]reply{}, intents: map[string]*intent{}}
	bank := httptest.NewServer(gateway)
	t.Cleanup(bank.Close)
	adapter := &Adapter{
		Ledger: ledger, Gateway: &Gateway{URL: bank.URL, Key: "sk", Client: bank.Client()},
		Log: slog.New(slog.DiscardHandler),
	}
	server := httptest.NewServer(adapter.Handler())
	t.Cleanup(server.Close)
	return &bench{t, server.URL, gateway}
}

func (b *bench) do(method, path, key, body string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(raw)))
}

func (b *bench) post(path, key, order, rest string) string {
	b.t.Helper()
	return b.do(http.MethodPost, path, key, fmt.Sprintf(`{"orderId":%q,"customerId":"alice",%s}`, order, rest))
}

func (b *bench) authorize(key, amount string) string {
	return b.post("/authorizations", key, orderA, `"amount":`+amount+`,"currency":"USD","paymentMethod":"pm_card_visa"`)
}

// capture captures the authorization a under the key c.
func (b *bench) capture(amount string) string {
	b.t.Helper()
	return b.post("/captures", "c", orderA, `"amount":`+amount+`,"currency":"USD","authorizationKey":"a"`)
}

func (b *bench) void(key, of string) string {
	return b.post("/voids", key, orderA, `"authorizationKey":"`+of+`"`)
}

func (b *bench) refund(key, of, amount string) string {
	return b.post("/refunds", key, orderA, `"amount":`+amount+`,"currency":"USD","captureKey":"`+of+`"`)
}

func (b *bench) ask(key string) string { return b.do(http.MethodGet, "/operations/"+key, "", "") }

func TestPayment(t *testing.T) {
	t.Parallel()
	b := start(t)
	require.Equal(t, `200 {"id":"pi_1"}`, b.authorize("a", "209.97"))
	require.Equal(t, `200 {"id":"pi_1"}`, b.capture("209.97"))
	require.Equal(t, `200 {"id":"re_1"}`, b.refund("f", "c", "9.97"))
	require.Equal(t, []string{"authorize 20997", "capture 20997", "refund 997"}, b.gateway.log)
	require.Equal(t, `200 {"id":"pi_1","state":"succeeded"}`, b.ask("c"))
	require.Equal(t, `200 {"id":"pi_1"}`, b.void("v", "a"), "a capture has released the rest")
	require.Len(t, b.gateway.log, 3)
}

func TestSameKey(t *testing.T) {
	t.Parallel()
	b := start(t)
	var group sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		group.Go(func() { answers[i] = b.authorize("a", "5") })
	}
	group.Wait()
	for _, answer := range answers {
		require.Equal(t, `200 {"id":"pi_1"}`, answer)
	}
	require.Equal(t, `422 {"code":"key_reused"}`, b.authorize("a", "6"))
	require.Equal(t, []string{"authorize 500"}, b.gateway.log)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	b := start(t)
	declined := `"amount":5,"currency":"USD","paymentMethod":"pm_card_chargeDeclined"`
	for range 2 {
		require.Equal(t, `422 {"code":"card_declined"}`, b.post("/authorizations", "a", orderA, declined))
	}
	require.Equal(t, `200 {"code":"card_declined","state":"refused"}`, b.ask("a"))
	require.Equal(t, `422 {"code":"authorization_missing"}`, b.capture("5"))
	require.Equal(t, `200 {"id":"v","nothing":true}`, b.void("v", "a"))
}

// An operation that is undone before it arrives must not take effect when it arrives.
func TestUndoBeforeDo(t *testing.T) {
	t.Parallel()
	b := start(t)
	require.Equal(t, `200 {"id":"v","nothing":true}`, b.void("v", "a"))
	require.Equal(t, `422 {"code":"undone"}`, b.authorize("a", "5"))
	require.Equal(t, `200 {"id":"f","nothing":true}`, b.refund("f", "c", "5"))
	require.Equal(t, `422 {"code":"undone"}`, b.capture("5"))
	require.Empty(t, b.gateway.log)
}

func TestVoid(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.authorize("a", "5")
	require.Equal(t, `422 {"code":"order_mismatch"}`, b.post("/voids", "x", orderB, `"authorizationKey":"a"`))
	require.Equal(t, `200 {"id":"pi_1"}`, b.void("v", "a"))
	require.Equal(t, `200 {"id":"pi_1"}`, b.void("v2", "a"), "voided already")
	require.Equal(t, `422 {"code":"authorization_voided"}`, b.capture("5"))
	require.Equal(t, []string{"authorize 500", "void"}, b.gateway.log)
}

// The money moved and the gateway's answer was lost. The key is unknown until Millrace sends it again, or undoes it.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"send again", "undo"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			b.gateway.lose = 1
			require.Equal(t, `503 {"code":"unavailable"}`, b.authorize("a", "5"))
			require.Equal(t, `404 {"code":"not_found"}`, b.ask("a"))
			if then == "undo" {
				require.Equal(t, `200 {"id":"pi_1"}`, b.void("v", "a"))
				require.Equal(t, []string{"authorize 500", "void"}, b.gateway.log)
				return
			}
			require.Equal(t, `200 {"id":"pi_1"}`, b.authorize("a", "5"))
			require.Equal(t, []string{"authorize 500"}, b.gateway.log)
		})
	}
}

// The bank releases an authorisation by itself after some days.
func TestExpired(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.authorize("a", "5")
	b.gateway.expire("pi_1")
	require.Equal(t, `422 {"code":"authorization_expired"}`, b.capture("5"))
	require.Equal(t, `200 {"id":"pi_1"}`, b.void("v", "a"), "it is released already")
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := start(t)
	require.Equal(t, `400 {"code":"bad_request"}`, b.authorize("", "5"))
	require.Equal(t, `400 {"code":"bad_request"}`, b.authorize("a", `"x`))
	require.Equal(t, `422 {"code":"amount_invalid"}`, b.authorize("b", "5.001"))
	b.authorize("a", "5")
	require.Equal(t, `422 {"code":"amount_too_large"}`, b.capture("6"))
}

func TestList(t *testing.T) {
	t.Parallel()
	b := start(t)
	for _, key := range []string{"a1", "a2", "a3"} {
		b.authorize(key, "5.10")
	}
	b.void("nothing", "never")
	now := time.Now().UTC()
	query := url.Values{
		"since": {now.Add(-time.Hour).Format(time.RFC3339)}, "until": {now.Add(time.Hour).Format(time.RFC3339)},
		"limit": {"2"},
	}
	var keys []string
	for {
		var page struct {
			Operations []struct {
				Key    string
				Amount json.Number
			}
			Next string
		}
		got := b.do(http.MethodGet, "/operations?"+query.Encode(), "", "")
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(got, "200 ")), &page), got)
		for _, op := range page.Operations {
			require.Equal(t, "5.10", op.Amount.String())
			keys = append(keys, op.Key)
		}
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	require.Equal(t, []string{"a1", "a2", "a3"}, keys)
}

// Millrace's own client sends each step, and judges each answer.
func TestMillrace(t *testing.T) {
	t.Parallel()
	b := start(t)
	clients, err := upstream.New(upstream.Config{URLs: map[orders.Provider]string{
		orders.Payment: b.url, orders.Inventory: b.url, orders.Shipping: b.url, orders.Email: b.url,
	}})
	require.NoError(t, err)
	body := func(rest string) []byte {
		return []byte(`{"orderId":"` + orderA + `","customerId":"alice",` + rest + `}`)
	}
	money := `"amount":5,"currency":"USD",`
	for _, c := range []struct {
		step orders.StepName
		key  string
		body []byte
		want upstream.Answer
	}{
		{
			orders.AuthorizePayment, "a", body(money + `"paymentMethod":"pm_card_visa"`),
			upstream.Answer{State: orders.StateSucceeded, Reference: "pi_1"},
		},
		{
			orders.CapturePayment, "c", body(money + `"authorizationKey":"a"`),
			upstream.Answer{State: orders.StateSucceeded, Reference: "pi_1"},
		},
		{
			orders.RefundPayment, "f", body(money + `"captureKey":"c"`),
			upstream.Answer{State: orders.StateSucceeded, Reference: "re_1"},
		},
		{
			orders.VoidPayment, "v", body(`"authorizationKey":"other"`),
			upstream.Answer{State: orders.StateSucceeded, Reference: "v", Nothing: true},
		},
	} {
		answer, err := clients.Send(t.Context(), c.step, c.key, c.body)
		require.NoError(t, err, c.step)
		require.Equal(t, c.want, answer, c.step)
		asked, err := clients.Ask(t.Context(), c.step, c.key, c.body)
		require.NoError(t, err, c.step)
		require.Equal(t, c.want, asked, c.step)
	}
}

// The docs page quotes this program.
func TestPageQuotes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/adapter.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(text)
	}
	blocks := regexp.MustCompile("(?s)```(?:go|sql)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(blocks), 5)
	for _, block := range blocks {
		if !strings.Contains(code.String(), strings.TrimRight(block[1], "\n")) {
			t.Errorf("the program has no such lines:\n%s", block[1])
		}
	}
}
