package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
)

// An identity provider that suddenly speaks another protocol holds up no request.
func TestIssuerSwitchesProtocols(t *testing.T) {
	t.Parallel()
	good := newIssuer(t)
	token := sign(t, good.signer(t, "rsa", "RS256"), good.claims(nil))
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}))
	t.Cleanup(issuer.Close)
	authenticator := auth.New(auth.Config{
		OIDC: auth.NewOIDC(auth.OIDCConfig{Issuer: issuer.URL, Audience: "millrace"}),
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	_, err = authenticator.Authenticate(r, false)
	require.Error(t, err)
	require.NotErrorIs(t, err, auth.ErrUnauthorized, "it is not the token's fault")
}
