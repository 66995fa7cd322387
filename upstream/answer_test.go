package upstream_test

import (
	"bufio"
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
			return "<nil>"
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
			_, _ = io.WriteString(w, `{"id":"1","code":"card_declined","password":"hunter2"}`)
		})
	for s := 200; s < 1000; s++ {
		status.Store(int32(s))
		reference, err := authorize(t, c)
		require.Equal(t, want(s), fmt.Sprintf("%T", err), s)
		switch {
		case s == 204:
			require.Empty(t, reference)
		case err == nil:
			require.Equal(t, "1", reference)
		default:
			require.Empty(t, reference)
			require.NotContains(t, err.Error(), "hunter2")
		}
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
		`{"code":7}`:                    "refused",
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

func TestSuccessDoesNotNeedAnID(t *testing.T) {
	t.Parallel()

	long := strings.Repeat("x", 200)
	for body, want := range map[string]string{
		`{"id":"a-1"}`:           "a-1",
		``:                       "",
		`OK`:                     "",
		`[]`:                     "",
		`{"id":null}`:            "",
		`{"id":12}`:              "",
		`{"id":"a\u0000"}`:       "", // Postgres would not take it
		`{"id":"` + long + `"}`:  long,
		`{"id":"` + long + `x"}`: "",
		`{"id":"a-1"` + strings.Repeat(" ", 64<<10) + `}`:       "",
		`{"id":"a-1"` + strings.Repeat(" ", (64<<10)-12) + `}`:  "a-1", // exactly the limit
		`{"id":"a-1","x":"` + strings.Repeat("x", 4<<20) + `"}`: "",
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		reference, err := authorize(t, c)
		require.NoError(t, err)
		require.Equal(t, want, reference, "%.40s", body)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()

	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"9999":                          5 * time.Minute,
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
	require.Equal(t, "refused", refused.Code)
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
		answer, err := c.Ask(t.Context(), orders.SendEmail, key)
		if err != nil {
			require.Zero(t, answer)
		}
	})
}
