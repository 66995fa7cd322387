package upstream_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

func TestEveryStatusHasItsClass(t *testing.T) {
	t.Parallel()

	want := func(status int) string {
		switch status {
		case 402, 422:
			return "*upstream.RefusedError"
		case 408, 409, 425, 429:
			return "*upstream.UnavailableError"
		}
		switch status / 100 {
		case 2:
			if status == 200 || status == 201 {
				return "<nil>"
			}
		case 3, 4:
			return "*upstream.MisconfiguredError"
		}
		return "*upstream.UnavailableError"
	}
	var status atomic.Int32
	c := serve(t, upstream.Config{Breaker: upstream.Breaker{Consecutive: 1 << 30, MinCalls: 1 << 30}},
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://user:hunter2@127.0.0.1:1/%zz")
			w.WriteHeader(int(status.Load()))
			_, _ = io.WriteString(w, `{"id":"1","password":"hunter2"}`)
		})
	for s := 200; s < 1000; s++ {
		status.Store(int32(s))
		reference, err := authorize(t, c)
		require.Equal(t, want(s), fmt.Sprintf("%T", err), s)
		if err == nil {
			require.Equal(t, "1", reference)
			continue
		}
		require.Empty(t, reference)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestRefusalHasACode(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("a", 64)
	for body, want := range map[string]string{
		`{"code":"card_declined"}`:      "card_declined",
		`{"code":"` + long + `"}`:       long,
		`{"code":"` + long + "a" + `"}`: "refused",
		`{"code":"Card <b>declined"}`:   "refused",
		`{"code":"declined\n"}`:         "refused",
		`{"code":51}`:                   "51",
		`{"code":["a"]}`:                "refused",
		`{"id":7,"code":"undone"}`:      "undone",
		`{"id":{},"code":"undone"}`:     "undone",
		"\ufeff" + `{"code":"undone"}`:  "undone",
		`{"code":"a","code":"b"}`:       "refused",
		`{"code":"undone"} trailer`:     "refused",
		``:                              "refused",
		`<html>`:                        "refused",
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, body)
		})
		_, err := authorize(t, c)
		var refused *upstream.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Code, body)
	}
}

// One odd field spoils no other: what is done is done, whatever its provider calls it.
func TestDone(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("x", 200)
	for body, want := range map[string]string{
		`{"id":"a-1"}`:            "a-1",
		`{"id":12}`:               "12",
		`{"ID":"a-1"}`:            "a-1",
		"\ufeff" + `{"id":"a-1"}`: "a-1",
		` {"id":"a-1"} `:          "a-1",
		`{"id":"a\u0000"}`:        "", // Postgres would not take it
		`{"id":"` + long + `"}`:   long,
		`{"id":"` + long + `x"}`:  "",
		`{"id":"a-1","nothing":null,"error":null,"code":"","errors":[]}`:      "a-1",
		`{"id":"a-1","state":"succeeded","amount":2.0997e2,"currency":"USD"}`: "a-1",
		`{"id":"a-1","amount":"209.970","orderId":"o1","key":"` + key + `"}`:  "a-1",
		`{"id":"a-1"` + strings.Repeat(" ", (64<<10)-12) + `}`:                "a-1", // exactly the limit
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		reference, err := authorize(t, c)
		require.NoError(t, err, "%.60s", body)
		require.Equal(t, want, reference, "%.60s", body)
	}
}

// What is not the contract's body leaves the outcome unknown, whatever its status.
func TestWhatIsNotOfTheContractIsNotDone(t *testing.T) {
	t.Parallel()

	for body, want := range map[string]string{
		``:                                       "not a JSON object",
		`OK`:                                     "not a JSON object",
		`<html>Back soon</html>`:                 "not a JSON object",
		`[]`:                                     "not a JSON object",
		`null`:                                   "not a JSON object",
		`"a-1"`:                                  "not a JSON object",
		`{"id":"a-1"`:                            "not a JSON object",
		`{"id":"a-1"}{"id":"a-2"}`:               "not a JSON object",
		`{"id":"a-1","id":"a-2"}`:                "not a JSON object",
		`{"id":"a-1","Id":"a-2"}`:                "not a JSON object",
		"\xff\xfe{\x00}\x00":                     "not a JSON object", // UTF-16
		`{}`:                                     "no id",
		`{"id":null}`:                            "no id",
		`{"id":""}`:                              "no id",
		`{"id":" "}`:                             "no id",
		`{"id":{}}`:                              "no id",
		`{"id":true}`:                            "no id",
		`{"data":{"id":"a-1"}}`:                  "no id",
		`{"status":"pending"}`:                   "no id",
		`{"error":{"code":"card_declined"}}`:     "no id",
		`{"id":"a-1","error":{"code":"x"}}`:      "an error",
		`{"id":"a-1","errors":["x"]}`:            "an error",
		`{"id":"a-1","code":"card_declined"}`:    "an error",
		`{"id":"a-1","status":"pending"}`:        "another state",
		`{"id":"a-1","state":"pending"}`:         "another state",
		`{"id":"a-1","state":"refused"}`:         "another state",
		`{"id":"a-1","state":{}}`:                "another state",
		`{"id":"a-1","key":"k"}`:                 "another key",
		`{"id":"a-1","orderId":"o2"}`:            "another order",
		`{"id":"a-1","amount":209.98}`:           "another amount",
		`{"id":"a-1","amount":20997}`:            "another amount",
		`{"id":"a-1","amount":209.9700000001}`:   "another amount",
		`{"id":"a-1","amount":{"value":209.97}}`: "another amount",
		`{"id":"a-1","currency":"EUR"}`:          "another currency",
		`{"id":"a-1","nothing":true}`:            "nothing was done, or perhaps", // an authorization is not an undo
		`{"id":"a-1"` + strings.Repeat(" ", 64<<10) + `}`: "body is too long",
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		reference, err := authorize(t, c)
		require.Empty(t, reference)
		var unavailable *upstream.UnavailableError
		require.ErrorAs(t, err, &unavailable, "%.60s", body)
		require.Equal(t, "answer is not of the contract: "+want, unavailable.Reason, "%.60s", body)
		require.True(t, unavailable.Unclear)
	}
}

// Every step and every compensation is judged alike.
func TestEveryStepNeedsTheContractsAnswer(t *testing.T) {
	t.Parallel()

	for _, spec := range orders.Specs() {
		for status, body := range map[int]string{
			200: `<html>`, 201: `{"status":"created"}`, 202: `{"id":"1","status":"pending"}`, 203: `{"id":"1"}`, 204: ``,
			206: `{"id":"1"}`,
		} {
			c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			answer, err := c.Send(t.Context(), spec.Name, key, []byte(`{}`))
			require.Zero(t, answer)
			unavailable, ok := errors.AsType[*upstream.UnavailableError](err)
			require.True(t, ok, "%s %d", spec.Name, status)
			require.True(t, unavailable.Unclear)
		}
	}
}

// An undo that found nothing is told from one that undid something, however odd the rest of the answer is. One that
// cannot be read is neither.
func TestUndoThatFoundNothing(t *testing.T) {
	t.Parallel()

	found, nothing, unclear := "found", "nothing", "unclear"
	for body, want := range map[string]string{
		`{"id":"v1"}`:                                found,
		`{"id":"v1","nothing":false}`:                found,
		`{"id":"v1","nothing":true}`:                 nothing,
		`{"nothing":true}`:                           nothing,
		`{"id":77,"nothing":true}`:                   nothing,
		`{"id":"v1","Nothing":true}`:                 nothing,
		"\ufeff" + `{"id":"v1","nothing":true}`:      nothing,
		`{"id":[],"nothing":true}`:                   unclear,
		`{"id":"v1","nothing":"true"}`:               unclear,
		`{"id":"v1","nothing":1}`:                    unclear,
		`{"id":"v1","nothing":true,"nothing":false}`: unclear,
		`{"id":"v1","nothing":true`:                  unclear,
	} {
		for _, zip := range []bool{false, true} {
			c := serve(t, upstream.Config{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "identity" {
					w.WriteHeader(http.StatusTeapot)
				}
				answerWith(w, body, zip)
			})
			answer, err := c.Send(t.Context(), orders.RefundPayment, key, []byte(`{"amount":1,"currency":"USD"}`))
			got := found
			switch {
			case err != nil:
				got = unclear
			case answer.Nothing:
				got = nothing
			}
			require.Equal(t, want, got, "%s, gzip %v: %v", body, zip, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()

	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"9999":                          5 * time.Minute,
		"2147483648":                    5 * time.Minute,
		"9223372036854775808":           5 * time.Minute,
		"99999999999999999999999":       5 * time.Minute,
		"-7":                            0,
		"soon":                          0,
		"Wed, 21 Oct 2015 07:28:00 GMT": 0,
		"Wed, 21 Oct 2099 07:28:00 GMT": 5 * time.Minute,
		time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat): 2 * time.Minute,
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := authorize(t, c)
		var unavailable *upstream.UnavailableError
		require.ErrorAs(t, err, &unavailable)
		slack := 0.0
		if want == 2*time.Minute { // from a date, which the clock has moved on from
			slack = float64(30 * time.Second)
		}
		require.InDelta(t, want, unavailable.RetryAfter, slack, value)
		require.Equal(t, "status 429", unavailable.Reason)
	}
}

// A refusal is in the status: it needs no body.
func TestRefusalWithABrokenBody(t *testing.T) {
	t.Parallel()

	c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = io.WriteString(w, `{"code":"card_declined"}`)
	})
	_, err := authorize(t, c)
	var refused *upstream.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "card_declined", refused.Code, "the object is whole")
}

// The wire, byte by byte, as a provider without a framework sees it.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"id":"1"}`, "")
	f.Add(422, `{"code":"undone"}`, "1")
	f.Add(503, ``, "Wed, 21 Oct 2099 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, status int, body, retryAfter string) {
		c, err := upstream.New(upstream.Config{
			URLs: urls("http://localhost"),
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				wire := "HTTP/1.1 " + strconv.Itoa(status) + " X\r\nRetry-After: " + retryAfter + "\r\n\r\n" + body
				return http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), r)
			}),
		})
		require.NoError(t, err)
		reference, err := authorize(t, c)
		require.LessOrEqual(t, len(reference), 200)
		if err != nil {
			require.Empty(t, reference)
		}
		answer, err := c.Ask(t.Context(), orders.SendEmail, key, nil)
		if err != nil {
			require.Zero(t, answer)
		}
	})
}
