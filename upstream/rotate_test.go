package upstream_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

// TestRotate: calls send the token that was given last.
func TestRotate(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	urls := map[orders.Provider]string{}
	for _, p := range orders.Providers() {
		urls[p] = server.URL
	}
	clients, err := upstream.New(upstream.Config{URLs: urls, Tokens: map[orders.Provider]string{orders.Payment: "old"}})
	require.NoError(t, err)
	defer clients.Close()
	ask := func() string {
		_, _ = clients.Ask(t.Context(), orders.AuthorizePayment, "key", nil)
		return <-sent
	}
	require.Equal(t, "Bearer old", ask())
	require.NoError(t, clients.Rotate(map[orders.Provider]string{orders.Payment: "new"}, ""))
	require.Equal(t, "Bearer new", ask())
	require.Error(t, clients.Rotate(map[orders.Provider]string{orders.Payment: "a\nb"}, ""))
	require.Equal(t, "Bearer new", ask())
	require.NoError(t, clients.Rotate(nil, ""))
	require.Empty(t, ask())
}
