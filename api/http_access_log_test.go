package api_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestAccessLog: a line names the kind of principal and the key, a refused request's also the address, and no line
// names a person or has a secret.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	h := serve(t, storetest.Pool(t), limited(3, nil), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{
			Keys: c.Store.Credentials, Timeout: time.Minute,
			OIDC: auth.NewOIDC(auth.OIDCConfig{Issuer: i.URL, Audience: "millrace"}),
		})
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	key := h.key(t, roles.Customer)
	token := sign(t, i.signer(t, "k", jose.ES256), i.claims(map[string]any{"sub": "ada@example.com"}))
	ticket := h.ticket(t, "", "Authorization", "Bearer "+key)
	ask := func(id, path, credential string) int {
		t.Helper()
		header := []string{"X-Request-Id", id, "X-Forwarded-For", "192.0.2.7"}
		if credential != "" {
			header = append(header, "Authorization", "Bearer "+credential)
		}
		return h.do(t, http.MethodGet, path, "", header...).status
	}
	require.Equal(t, 200, ask("key", "/api/orders", key))
	require.Equal(t, 403, ask("forbidden", "/api/system/status", key))
	require.Equal(t, 429, ask("limited", "/api/orders", key))
	require.Equal(t, 200, ask("oidc", "/api/orders", token))
	require.Equal(t, 401, ask("none", "/api/orders", ""))
	require.Equal(t, 401, ask("wrong", "/api/orders", "mr_aaaaaaaaaaaa_"+strings.Repeat("0", 43)))
	require.Equal(t, 200, ask("health", "/health/live", ""))
	require.Equal(t, 404, ask("nothing", "/nothing", ""))
	require.Equal(t, 429, ask("ticket", "/api/events?after=end&ticket="+ticket, ""))

	kinds, ids, addresses := map[string]any{}, map[string]any{}, map[string]any{}
	for line := range strings.Lines(h.log.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		id := entry["request_id"].(string)
		kinds[id], ids[id], addresses[id] = entry["principal_kind"], entry["key_id"], entry["remote_address"]
	}
	id := any(key[3:15])
	for request, want := range map[string][3]any{
		"key": {"key", id, nil}, "forbidden": {"key", id, "192.0.2.7"}, "limited": {"key", id, "192.0.2.7"},
		"oidc": {"oidc", nil, nil}, "none": {nil, nil, "192.0.2.7"}, "wrong": {nil, nil, "192.0.2.7"},
		"health": {"anonymous", nil, nil}, "nothing": {nil, nil, nil}, "ticket": {"ticket", id, "192.0.2.7"},
	} {
		require.Equal(t, want, [3]any{kinds[request], ids[request], addresses[request]}, request)
	}
	for _, secret := range []string{key, key[16:], ticket, token, "ada", "example.com"} {
		require.NotContains(t, h.log.String(), secret)
	}
}
