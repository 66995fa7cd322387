package api_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

// issuer is an identity provider.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64 // of the keys
	paths   sync.Map     // that were asked for
	down    atomic.Bool

	mu   sync.Mutex
	keys []jose.JSONWebKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := new(issuer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.paths.Store(r.URL.Path, true)
		switch {
		case i.down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"HS256", "none"},
			})
		case r.URL.Path == "/keys":
			i.fetches.Add(1)
			i.mu.Lock()
			defer i.mu.Unlock()
			keys := []any{map[string]string{"kty": "EC", "crv": "secp256k1", "kid": "unknown to go-jose", "x": "AA", "y": "AA"}}
			for _, k := range i.keys {
				keys = append(keys, k)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// signer makes a key of the issuer's.
func (i *issuer) signer(t testing.TB, id string, algorithm jose.SignatureAlgorithm) jose.SigningKey {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case jose.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(t, err)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, jose.JSONWebKey{Key: private.Public(), KeyID: id, Use: "sig"})
	return jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: id}}
}

func (i *issuer) claims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "aud": "millrace", "sub": "ada", "role": "viewer", "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, change)
	return claims
}

func sign(t testing.TB, key jose.SigningKey, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// forge puts a token together by hand.
func forge(t *testing.T, header, claims map[string]any, sign func(input string) []byte) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	input := part(header) + "." + part(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

func (i *issuer) serve(t *testing.T, now func() time.Time) *harness {
	t.Helper()
	return serve(t, storetest.Tx(t), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Now: now, OIDC: auth.NewOIDC(auth.OIDCConfig{
			Issuer: i.URL, Audience: "millrace", Now: now,
		})})
	})
}

func (h *harness) list(t *testing.T, token string) answer {
	t.Helper()
	return h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+token)
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	key := i.signer(t, "rsa", jose.RS256)
	signers := []jose.SigningKey{key, i.signer(t, "ec", jose.ES256), i.signer(t, "ed", jose.EdDSA)}
	h := i.serve(t, time.Now)
	for _, key := range signers {
		require.Equal(t, http.StatusOK, h.list(t, sign(t, key, i.claims(nil))).status, key.Algorithm)
	}
	require.Equal(t, int64(1), i.fetches.Load(), "the keys are cached")
	several := i.claims(map[string]any{"aud": []string{"other", "millrace"}})
	require.Equal(t, http.StatusOK, h.list(t, sign(t, key, several)).status)

	for name, claims := range map[string]map[string]any{
		"NoRole": {"role": nil}, "UnknownRole": {"role": "root"}, "RoleIsNoText": {"role": []string{"admin"}},
		"NoCustomer": {"role": "customer"},
	} {
		got := h.list(t, sign(t, key, i.claims(claims)))
		require.Equal(t, http.StatusForbidden, got.status, name)
	}

	h.placeFor(t, otherCustomer)
	token := sign(t, key, i.claims(map[string]any{"role": "customer", "customer_id": ownCustomer}))
	require.JSONEq(t, `{"orders":[]}`, h.list(t, token).body)
	got := h.do(t, http.MethodPost, "/api/orders", seedBody, "Authorization", "Bearer "+token, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	p := storetest.Placement()
	p.Principal, p.IdempotencyKey = "oidc:ada", "k"
	placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	require.True(t, placed[0].Replayed, "the subject is the principal")
	require.NotContains(t, h.log.String(), token)

	require.Equal(t, http.StatusOK, h.list(t, h.key(t, roles.Viewer)).status, "keys go on working")
}

// Whatever is wrong with a token, the answer is 401, and finding out costs next to nothing.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	key := i.signer(t, "rsa", jose.RS256)
	start := time.Now()
	h := i.serve(t, func() time.Time { return start }) // at which it asks for keys no second time
	private := key.Key.(jose.JSONWebKey).Key.(*rsa.PrivateKey)
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	hs256 := func(input string) []byte {
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	stranger := newIssuer(t).signer(t, "rsa", jose.RS256)
	embedded := stranger.Key.(jose.JSONWebKey)
	withKey, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: embedded.Key},
		&jose.SignerOptions{EmbedJWK: true})
	require.NoError(t, err)
	payload, err := json.Marshal(i.claims(nil))
	require.NoError(t, err)
	signed, err := withKey.Sign(payload)
	require.NoError(t, err)
	selfMade, err := signed.CompactSerialize()
	require.NoError(t, err)
	good := sign(t, key, i.claims(nil))
	parts := strings.Split(good, ".")
	hour := start.Add(time.Hour).Unix()

	for name, token := range map[string]string{
		"None":          forge(t, map[string]any{"alg": "none"}, i.claims(nil), func(string) []byte { return nil }),
		"NoneWithKey":   forge(t, map[string]any{"alg": "None", "kid": "rsa"}, i.claims(nil), hs256),
		"PublicKeyHMAC": forge(t, map[string]any{"alg": "HS256", "kid": "rsa"}, i.claims(nil), hs256),
		"PS256":         sign(t, jose.SigningKey{Algorithm: jose.PS256, Key: key.Key}, i.claims(nil)),
		"Expired":       sign(t, key, i.claims(map[string]any{"exp": start.Add(-2 * time.Second).Unix()})),
		"NoExpiry":      sign(t, key, i.claims(map[string]any{"exp": nil})),
		"NotYet":        sign(t, key, i.claims(map[string]any{"nbf": hour})),
		"Audience":      sign(t, key, i.claims(map[string]any{"aud": "other"})),
		"NoAudience":    sign(t, key, i.claims(map[string]any{"aud": nil})),
		"Issuer":        sign(t, key, i.claims(map[string]any{"iss": "https://elsewhere.example"})),
		"NoSubject":     sign(t, key, i.claims(map[string]any{"sub": ""})),
		"LongSubject":   sign(t, key, i.claims(map[string]any{"sub": strings.Repeat("x", 196)})),
		"NulInSubject":  sign(t, key, i.claims(map[string]any{"sub": "a\x00b"})),
		"OtherKey":      sign(t, stranger, i.claims(nil)),
		"EmbeddedKey":   selfMade,
		"UnknownKid": sign(t, jose.SigningKey{
			Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: "unknown"},
		}, i.claims(nil)),
		"KidTraversal": sign(t, jose.SigningKey{
			Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: "../../../../etc/passwd"},
		}, i.claims(nil)),
		"NoSignature":  parts[0] + "." + parts[1] + ".",
		"OtherPayload": parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "x." + parts[2],
		"TwoParts":     parts[0] + "." + parts[1],
		"Dots":         strings.Repeat(".", 100_000),
		"FewerDots":    strings.Repeat(".", 8_000),
		"TooLong":      strings.Repeat("a", 9_000) + ".b.c",
	} {
		got := h.list(t, token)
		require.Equal(t, http.StatusUnauthorized, got.status, "%s: %s", name, got.body)
		require.Equal(t, "unauthorized", got.problem(t).Code, name)
	}
	require.Equal(t, http.StatusOK, h.list(t, good).status)
	require.Equal(t, int64(1), i.fetches.Load(), "unknown keys do not make it ask the provider each time")
	i.paths.Range(func(path, _ any) bool {
		require.Contains(t, []string{"/.well-known/openid-configuration", "/keys"}, path)
		return true
	})
}

// The CVEs of the JWT libraries: text that is expensive to take apart.
func TestForgedTokensAllocateLittle(t *testing.T) { //nolint:paralleltest // it measures allocations
	i := newIssuer(t)
	i.signer(t, "rsa", jose.RS256)
	authenticator := auth.New(auth.Config{
		OIDC: auth.NewOIDC(auth.OIDCConfig{Issuer: i.URL, Audience: "millrace"}),
	})
	for name, token := range map[string]string{
		"Dots": strings.Repeat(".", 100_000), "FewerDots": strings.Repeat(".", 8_000),
		"Long": strings.Repeat("a", 1<<20) + ".b.c",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		const runs = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, err := authenticator.Authenticate(r, false)
			require.ErrorIs(t, err, auth.ErrUnauthorized)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, (after.TotalAlloc-before.TotalAlloc)/runs, uint64(64<<10), "%s: bytes for one token", name)
	}
}

// FuzzToken: a text that the issuer has not signed is refused as such.
func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	valid := sign(f, i.signer(f, "rsa", jose.RS256), i.claims(nil))
	authenticator := auth.New(auth.Config{
		OIDC: auth.NewOIDC(auth.OIDCConfig{Issuer: i.URL, Audience: "millrace"}),
	})
	f.Add(valid[:len(valid)-4])
	f.Add("..")
	f.Add("mr_abcdefghijkl_x")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		if _, err = authenticator.Authenticate(r, false); err != nil {
			require.ErrorIs(t, err, auth.ErrUnauthorized)
			return
		}
		// One signature has several spellings in base64; what it signs has one.
		require.Contains(t, token, valid[:strings.LastIndex(valid, ".")])
	})
}

// A provider that changes its keys is followed, and one that withdraws a key, too.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	start, passed := time.Now(), new(atomic.Int64)
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	i := newIssuer(t)
	old := i.signer(t, "old", jose.RS256)
	h := i.serve(t, now)
	oldToken := sign(t, old, i.claims(nil))
	require.Equal(t, http.StatusOK, h.list(t, oldToken).status)

	i.mu.Lock()
	i.keys = nil
	i.mu.Unlock()
	token := sign(t, i.signer(t, "new", jose.ES256), i.claims(nil))
	require.Equal(t, http.StatusUnauthorized, h.list(t, token).status, "too soon to ask again")
	passed.Store(int64(11 * time.Second))
	require.Equal(t, http.StatusOK, h.list(t, token).status)
	require.Equal(t, http.StatusUnauthorized, h.list(t, oldToken).status, "the old key is gone")

	// While the provider is down the keys that there are still count.
	i.down.Store(true)
	passed.Store(int64(20 * time.Minute))
	require.Equal(t, http.StatusOK, h.list(t, token).status)
	i.down.Store(false)
}

// Millrace starts while the provider is down, and reports that it cannot check tokens.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	i := newIssuer(t)
	i.down.Store(true)
	h := i.serve(t, func() time.Time { return time.Now().Add(time.Duration(passed.Load())) })
	token := sign(t, i.signer(t, "rsa", jose.RS256), i.claims(nil))
	for range 2 {
		got := h.list(t, token)
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Equal(t, "unavailable", got.problem(t).Code)
		require.NotContains(t, got.body, i.URL)
	}
	i.down.Store(false)
	passed.Store(int64(6 * time.Second))
	require.Equal(t, http.StatusOK, h.list(t, token).status)
}
