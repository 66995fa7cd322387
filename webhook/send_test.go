package webhook_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/webhook"
)

// The example of the specification's own libraries.
func TestSignature(t *testing.T) {
	t.Parallel()
	secret, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	got := webhook.Secret(secret).Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), `{"test": 2432232314}`)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)
	require.Equal(t, "whsec_…", webhook.Secret(secret).String())
}

// The official library verifies what is sent, with either secret, and nothing that was changed.
func TestOfficialLibraryVerifies(t *testing.T) {
	t.Parallel()
	current, previous := webhook.NewSecret(), webhook.NewSecret()
	seen := make(chan *http.Request, 1)
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		seen <- r
	}))
	t.Cleanup(server.Close)
	out := local().Send(t.Context(), webhook.Message{
		ID: "msg-1", URL: server.URL, Body: `{"type":"Ping"}`, Secrets: []webhook.Secret{current, previous},
	})
	require.True(t, out.Delivered, out.Error)
	r := <-seen
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	for secret, right := range map[string]bool{
		current.Text(): true, previous.Text(): true, webhook.NewSecret().Text(): false,
	} {
		verifier, err := standard.NewWebhook(secret)
		require.NoError(t, err)
		require.Equal(t, right, verifier.Verify(body, r.Header) == nil)
		require.Error(t, verifier.Verify(append(body, ' '), r.Header))
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	send := func(t *testing.T, answer http.HandlerFunc) webhook.Outcome {
		t.Helper()
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		s := webhook.NewSender(webhook.Config{
			Policy:  webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			Timeout: 10 * time.Second, Now: func() time.Time { return now },
		})
		t.Cleanup(s.Close)
		return s.Send(t.Context(), webhook.Message{ID: "1", URL: server.URL, Body: "{}"})
	}
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	require.True(t, send(t, status(204)).Delivered)
	gone := send(t, status(410))
	require.True(t, gone.Gone)
	require.False(t, gone.Delivered)
	require.Equal(t, 7*time.Second, send(t, status(503, "Retry-After", "7")).RetryAfter)
	date := now.Add(time.Hour).Format(http.TimeFormat)
	require.Equal(t, time.Hour, send(t, status(429, "Retry-After", date)).RetryAfter)
	require.Equal(t, 24*time.Hour, send(t, status(503, "Retry-After", "999999999")).RetryAfter)
	for _, many := range []string{"86400", "86401", "2147483648", "9223372036854775808", "99999999999999999999999"} {
		require.Equal(t, 24*time.Hour, send(t, status(503, "Retry-After", many)).RetryAfter, many)
	}
	require.Zero(t, send(t, status(503, "Retry-After", "soon")).RetryAfter)
	require.Zero(t, send(t, status(503, "Retry-After", "-1")).RetryAfter)
	require.Equal(t, "connection closed", send(t, func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}).Error)

	long := send(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "\x00\xff"+strings.Repeat("ü", 4000))
	})
	require.LessOrEqual(t, len(long.Response), 1024)
	require.NotContains(t, long.Response, "\x00")
	require.True(t, strings.HasPrefix(long.Response, "\ufffd\ufffdüü"), long.Response[:20])

	// An answer that never ends is not read to its end.
	endless := send(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<10))
		}
	})
	require.True(t, endless.Delivered, endless.Error)
	large := send(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	require.False(t, large.Delivered)
}

// raw answers every request with exactly these bytes, and then says nothing for as long as the sender stays, unless it
// hangs up.
func raw(t *testing.T, answer string, hangUp bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, answer)
		if !hangUp {
			_, _ = io.Copy(io.Discard, conn)
		}
		_ = conn.Close()
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// A 2xx is delivered, whatever becomes of the body behind it; any other status is not.
func TestTheStatusDecides(t *testing.T) {
	t.Parallel()
	for status, delivered := range map[string]bool{"200 OK": true, "202 Accepted": true, "500 No": false} {
		for name, rest := range map[string]string{
			"Short":   "Content-Length: 100\r\n\r\nhalf",
			"Chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
			"Garbled": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalfzz",
		} {
			for _, hangUp := range []bool{true, false} {
				t.Run(fmt.Sprint(status, name, hangUp), func(t *testing.T) {
					t.Parallel()
					out := local().Send(t.Context(), webhook.Message{
						ID: "1", URL: raw(t, "HTTP/1.1 "+status+"\r\n"+rest, hangUp), Body: "{}",
					})
					require.Equal(t, delivered, out.Delivered, out.Error)
					require.Equal(t, "half", out.Response)
					if !delivered {
						require.Equal(t, "status 500", out.Error)
					}
				})
			}
		}
	}
}

// A switch of protocols does not count as an answer, and holds up nothing.
func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"101 Switching Protocols", "102 Processing", "104 Hm", "199 Hm"} {
		out := local().Send(t.Context(), webhook.Message{
			ID: "1", URL: raw(t, "HTTP/1.1 "+status+"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false), Body: "{}",
		})
		require.False(t, out.Delivered)
		require.Equal(t, "status "+status[:3], out.Error)
	}
	out := local().Send(t.Context(), webhook.Message{
		ID: "1", Body: "{}",
		URL: raw(t, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true),
	})
	require.True(t, out.Delivered, out.Error)
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	s := webhook.NewSender(webhook.Config{
		Policy:  webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Timeout: 50 * time.Millisecond,
	})
	require.Equal(t, "timeout", s.Send(t.Context(), webhook.Message{URL: server.URL}).Error)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, s.Send(ctx, webhook.Message{URL: server.URL}).Delivered)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	var total time.Duration
	for attempt := 1; ; attempt++ {
		wait, more := webhook.Wait(attempt)
		if !more {
			require.Equal(t, 10, attempt)
			break
		}
		total += wait
	}
	least := 75*time.Hour + 35*time.Minute + 5*time.Second
	require.True(t, total >= least && total <= least+least/10, total)
	for failures := range 2000 {
		require.LessOrEqual(t, webhook.Pause(failures), 5*time.Minute)
		require.Positive(t, webhook.Pause(failures))
	}
}
