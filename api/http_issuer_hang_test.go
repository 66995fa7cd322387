package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
)

// hanging is a client's transport that does not return from a read of the keys before it is released, whatever
// deadline the read has.
type hanging struct {
	hangs   atomic.Bool
	reads   atomic.Int64 // that hung
	release chan struct{}
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.hangs.Load() && strings.HasSuffix(r.URL.Path, "/keys") {
		h.reads.Add(1)
		<-h.release
		return nil, errors.New("released")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestIssuerHangs: an identity provider that takes for ever to answer holds up no token whose key is known, whatever
// keys strangers name, and however old the keys are. It is asked once at a time.
func TestIssuerHangs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	known, stranger := i.signer(t, "known", jose.ES256), newIssuer(t).signer(t, "stranger", jose.ES256)
	transport := &hanging{release: make(chan struct{})}
	start, ahead := time.Now(), new(atomic.Int64)
	now := func() time.Time { return start.Add(time.Duration(ahead.Load())) }
	authenticator := auth.New(auth.Config{Now: now, OIDC: auth.NewOIDC(auth.OIDCConfig{
		Issuer: i.URL, Audience: "millrace", Now: now, Client: &http.Client{Transport: transport},
	})})
	ask := func(ctx context.Context, key jose.SigningKey, who string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+sign(t, key, i.claims(map[string]any{
			"sub": who, "exp": start.Add(48 * time.Hour).Unix(),
		})))
		_, err = authenticator.Authenticate(r, false)
		return err
	}
	require.NoError(t, ask(t.Context(), known, "first"))
	transport.hangs.Store(true)
	ahead.Store(int64(16 * time.Minute)) // the keys are due to be read again

	leave, cancel := context.WithCancel(t.Context())
	var strangers sync.WaitGroup
	turnedAway := make(chan error, 200)
	for range 200 { // one token, many times, and more of them than may wait
		strangers.Go(func() {
			if err := ask(leave, stranger, "one"); leave.Err() == nil {
				turnedAway <- err
			}
		})
	}
	for range 100 {
		select {
		case err := <-turnedAway:
			require.Error(t, err)
			require.NotErrorIs(t, err, auth.ErrUnauthorized, "it is not known to be wrong")
		case <-time.After(time.Minute):
			require.Fail(t, "strangers wait without a bound")
		}
	}
	answered := make(chan error)
	for n := range 30 {
		go func() { answered <- ask(leave, known, fmt.Sprint(n)) }()
	}
	for range 30 {
		select {
		case err := <-answered:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			require.Fail(t, "a token with a known key waits for the provider")
		}
	}
	require.Equal(t, int64(1), transport.reads.Load())
	cancel()
	strangers.Wait()

	// The keys do not count for ever.
	ahead.Store(int64(25 * time.Hour))
	err := ask(t.Context(), known, "late")
	require.Error(t, err)
	require.NotErrorIs(t, err, auth.ErrUnauthorized)
	transport.hangs.Store(false)
	close(transport.release)
	require.Eventually(t, func() bool {
		ahead.Add(int64(time.Minute))
		return ask(t.Context(), known, "again") == nil
	}, time.Minute, time.Millisecond)
}
