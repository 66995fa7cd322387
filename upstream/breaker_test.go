package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// fake is a provider without a network, so that a test's clock can be fake too. It answers status; 0 hangs.
type fake struct {
	*upstream.Clients
	status int
	calls  atomic.Int32
	logs   bytes.Buffer
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{status: http.StatusOK}
	c, err := upstream.New(upstream.Config{
		URLs:   urls("http://localhost"),
		Logger: slog.New(slog.NewTextHandler(&f.logs, nil)),
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			f.calls.Add(1)
			if f.status == 0 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: f.status, Body: io.NopCloser(strings.NewReader(`{"id":"1"}`))}, nil
		}),
	})
	require.NoError(t, err)
	f.Clients = c
	return f
}

// send sends n times, answered with status, and returns the last error.
func (f *fake) send(t *testing.T, status, n int) (err error) {
	t.Helper()
	f.status = status
	for range n {
		_, err = authorize(t, f.Clients)
	}
	return err
}

func (f *fake) state() string { return f.States()[orders.Payment] }

// bubble runs a test on a fake clock.
func bubble(t *testing.T, test func(t *testing.T, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newFake(t)) })
}

func TestBreakerOpensAfterFiveFailuresInARow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		_ = f.send(t, 503, 4)
		_ = f.send(t, 200, 1)
		_ = f.send(t, 503, 4)
		require.Equal(t, "closed", f.state())
		_ = f.send(t, 429, 1)
		require.Equal(t, "open", f.state())
		require.Equal(t, "closed", f.States()[orders.Shipping], "one breaker for each provider")

		calls := f.calls.Load()
		<-time.After(10 * time.Second)
		err := f.send(t, 200, 1)
		var open *upstream.OpenError
		require.ErrorAs(t, err, &open)
		require.Equal(t, upstream.OpenError{Provider: orders.Payment, RetryAfter: 20 * time.Second}, *open)
		_, err = f.Ask(t.Context(), orders.VoidPayment, key, nil)
		require.ErrorAs(t, err, &open, "a question goes through the same breaker")
		require.Equal(t, calls, f.calls.Load(), "no call was made")

		_, err = f.Send(t.Context(), orders.SendEmail, key, []byte(`{}`))
		require.NoError(t, err)
	})
}

func TestBreakerOpensAtHalfOfTwenty(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		for range 9 {
			_ = f.send(t, 200, 1)
			_ = f.send(t, 500, 1)
		}
		_ = f.send(t, 200, 1)
		require.Equal(t, "closed", f.state(), "9 of 19")
		_ = f.send(t, 500, 1)
		require.Equal(t, "open", f.state(), "10 of 20")
	})
}

func TestBreakerForgetsAfterItsWindow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		_ = f.send(t, 503, 4)
		<-time.After(31 * time.Second)
		_ = f.send(t, 503, 4)
		require.Equal(t, "closed", f.state())
	})
	bubble(t, func(t *testing.T, f *fake) {
		<-time.After(28 * time.Second)
		_ = f.send(t, 503, 4)
		<-time.After(4 * time.Second)
		_ = f.send(t, 503, 1)
		require.Equal(t, "open", f.state(), "the window moves; it does not start afresh every 30 s")
	})
}

func TestBreakerRatioIsOfAnswers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		_ = f.send(t, 409, 50)
		for range 10 {
			_ = f.send(t, 200, 1)
			_ = f.send(t, 500, 1)
		}
		require.Equal(t, "open", f.state())
	})
}

func TestBreakerIgnoresWhatIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, status := range []int{402, 422, 400, 401, 403, 404, 302, 409} {
		bubble(t, func(t *testing.T, f *fake) {
			require.Error(t, f.send(t, status, 100))
			require.Equal(t, "closed", f.state(), status)
		})
	}
}

// A resend after a timeout finds the first send still under way: that must not look like health.
func TestBreakerOpensOnHangsEvenBetweenConflicts(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		for range 5 {
			_ = f.send(t, 504, 1)
			_ = f.send(t, 409, 1)
		}
		require.Equal(t, "open", f.state())
	})
}

func TestBreakerCountsTimeoutsButNotCancellation(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		f.status = 0
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := f.Send(ctx, orders.AuthorizePayment, key, []byte(`{}`))
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Equal(t, int32(30), f.calls.Load())
		require.Equal(t, "closed", f.state())

		start := time.Now()
		require.EqualError(t, f.send(t, 0, 1), "payment unavailable: no answer in time")
		require.Equal(t, 10*time.Second, time.Since(start), "the default timeout")
		for range 9 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := f.Send(ctx, orders.AuthorizePayment, key, []byte(`{}`))
			require.Error(t, err)
			cancel()
		}
		require.Equal(t, "open", f.state(), "a caller's deadline is a timeout too")
	})
}

func TestBreakerRecovers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		_ = f.send(t, 503, 5)
		<-time.After(30*time.Second + 1)
		require.Equal(t, "half_open", f.state())
		_ = f.send(t, 503, 1)
		require.Equal(t, "open", f.state(), "the probe failed")

		<-time.After(30*time.Second + 1)
		_ = f.send(t, 409, 3)
		require.Equal(t, "half_open", f.state(), "says nothing, and gives the probe's place back")
		require.Error(t, f.send(t, 402, 1))
		require.Equal(t, "closed", f.state(), "a decline is an answer")
		require.NoError(t, f.send(t, 200, 1))

		var lines []string
		for line := range strings.Lines(f.logs.String()) {
			_, line, _ = strings.Cut(line, " ") // the time
			lines = append(lines, strings.TrimSpace(line))
		}
		const message = `msg="circuit breaker changed state" provider=payment `
		require.Equal(t, []string{
			"level=WARN " + message + "from=closed to=open",
			"level=INFO " + message + "from=open to=half_open",
			"level=WARN " + message + "from=half_open to=open",
			"level=INFO " + message + "from=open to=half_open",
			"level=WARN " + message + "from=half_open to=closed",
		}, lines)
	})
}

// Half-open has no end of its own: a probe that hangs would keep the provider shut out but for its timeout.
func TestBreakerSurvivesAHungProbe(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *fake) {
		_ = f.send(t, 503, 5)
		<-time.After(30*time.Second + 1)

		f.status = 0
		probe := make(chan error)
		go func() {
			_, err := authorize(t, f.Clients)
			probe <- err
		}()
		synctest.Wait()
		calls := f.calls.Load()
		_, err := authorize(t, f.Clients)
		var open *upstream.OpenError
		require.ErrorAs(t, err, &open)
		require.Equal(t, time.Second, open.RetryAfter)
		require.Equal(t, calls, f.calls.Load(), "one probe at a time")

		require.ErrorContains(t, <-probe, "no answer in time")
		require.Equal(t, "open", f.state())
		<-time.After(30*time.Second + 1)
		require.NoError(t, f.send(t, 200, 1))
		require.Equal(t, "closed", f.state())
	})
}

func TestBreakerCountsAPanic(t *testing.T) {
	t.Parallel()

	c, err := upstream.New(upstream.Config{
		URLs:      urls("http://localhost"),
		Transport: transport(func(*http.Request) (*http.Response, error) { panic(errors.New("boom")) }),
	})
	require.NoError(t, err)
	for range 5 {
		require.Panics(t, func() { _, _ = authorize(t, c) })
	}
	require.Equal(t, "open", c.States()[orders.Payment])
}
