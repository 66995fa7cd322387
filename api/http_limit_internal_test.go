package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/limit"
)

// What is refused before its sender is known counts for the address. A failure of ours does not, nor is it hidden.
func TestGate(t *testing.T) {
	t.Parallel()
	l := &rates{limiter: limit.New(limit.Config{}), refused: newMetrics(nil).limited}
	l.limits.Store(&Limits{Base: 1})
	for _, tt := range []struct{ answered, want int }{{503, 503}, {503, 503}, {401, 401}, {401, 429}, {503, 503}} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/orders", nil)
		r = r.WithContext(withExchange(r.Context(), new(exchange)))
		l.gated(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.answered)
			_, _ = w.Write([]byte("its own body"))
		})).ServeHTTP(w, r)
		require.Equal(t, tt.want, w.Code)
		if tt.want == tt.answered {
			require.Equal(t, "its own body", w.Body.String())
		} else {
			require.NotContains(t, w.Body.String(), "its own body")
		}
		require.Equal(t, tt.want < 500, w.Header().Get("RateLimit") != "")
	}
}
