package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
)

const (
	issuerTimeout   = 3 * time.Second // of one request to the identity provider
	oidcPrefix      = "oidc:"
	defaultRole     = "role"
	defaultCustomer = "customer_id"
)

// signatures returns the accepted algorithms, whatever a token or the provider names. All of them are asymmetric, so a
// public key can never be used as a shared secret.
func signatures() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
}

// OIDCConfig names an identity provider and the claims of its tokens.
type OIDCConfig struct {
	Issuer   string // its URL, exactly as in iss
	Audience string // the tokens' aud must have it

	RoleClaim     string // has one of the roles; default role
	CustomerClaim string // has the customer's id, for the role customer; default customer_id
	Client        *http.Client
	Now           func() time.Time // default time.Now
}

// OIDC verifies tokens of one identity provider. It discovers the provider when the first token comes, so that Millrace
// starts even if the provider is down.
type OIDC struct {
	config  OIDCConfig
	keys    keySet
	keysURL string // empty until the provider is discovered; only the running read uses it
}

// NewOIDC makes an OIDC. It sends no request yet.
func NewOIDC(c OIDCConfig) *OIDC {
	if c.RoleClaim == "" {
		c.RoleClaim = defaultRole
	}
	if c.CustomerClaim == "" {
		c.CustomerClaim = defaultCustomer
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: issuerTimeout, Transport: issuerTransport{http.DefaultTransport}}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	o := &OIDC{config: c}
	o.keys.fetch, o.keys.now = o.readKeys, c.Now
	return o
}

// verify checks a token and returns when it expires. A stranger's token costs time in proportion to its length, and now
// and then a request to the provider.
//
// Errors: ErrUnauthorized, ErrNoIssuer.
func (o *OIDC) verify(ctx context.Context, token string) (Principal, time.Time, error) {
	parsed, err := jose.ParseSignedCompact(token, signatures())
	if err != nil || len(parsed.Signatures) != 1 {
		return Principal{}, time.Time{}, ErrUnauthorized
	}
	candidates, err := o.keys.find(ctx, parsed.Signatures[0].Header)
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	verifier := oidc.NewVerifier(o.config.Issuer, &oidc.StaticKeySet{PublicKeys: candidates}, &oidc.Config{
		ClientID: o.config.Audience, SupportedSigningAlgs: signatureNames(), Now: o.config.Now,
	})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return Principal{}, time.Time{}, ErrUnauthorized
	}
	principal, err := o.principal(verified)
	principal.until = verified.Expiry
	return principal, verified.Expiry, err
}

// principal reads the claims. A principal whose role is missing or unknown may do nothing.
func (o *OIDC) principal(token *oidc.IDToken) (Principal, error) {
	name := oidcPrefix + token.Subject
	if token.Subject == "" || !isPrintable(name) {
		return Principal{}, ErrUnauthorized
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Principal{}, ErrUnauthorized
	}
	p := Principal{Name: name, kind: kindOIDC}
	role, _ := claims[o.config.RoleClaim].(string)
	customer, _ := claims[o.config.CustomerClaim].(string)
	switch {
	case !roles.Role(role).Known():
	case roles.Role(role) != roles.Customer:
		p.Role = roles.Role(role)
	case isPrintable(customer):
		p.Role, p.CustomerID = roles.Customer, customer
	}
	return p, nil
}

// isPrintable reports whether a claim may become part of an order and of the log.
func isPrintable(s string) bool { return orders.CheckCustomerID(s) == "" }

// isCompactToken reports whether a text has the form of a signed token: three parts of base64url.
func isCompactToken(text string) bool {
	return strings.Count(text, ".") == 2 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '-' && r != '_' && r != '.'
	})
}

// readKeys reads the provider's keys. It discovers the provider first if that has not succeeded yet.
func (o *OIDC) readKeys(ctx context.Context) ([]jose.JSONWebKey, error) {
	if o.keysURL == "" {
		url, err := o.discover(ctx)
		if err != nil {
			return nil, err
		}
		o.keysURL = url
	}
	return readKeys(ctx, o.config.Client, o.keysURL)
}

// discover asks the provider for the address of its keys.
func (o *OIDC) discover(ctx context.Context) (keysURL string, err error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.config.Client), o.config.Issuer)
	if err != nil {
		return "", fmt.Errorf("discover identity provider: %w", err)
	}
	var endpoints struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&endpoints); err != nil {
		return "", fmt.Errorf("discover identity provider: %w", err)
	}
	if endpoints.Keys == "" {
		return "", errors.New("discover identity provider: it names no keys")
	}
	return endpoints.Keys, nil
}

func signatureNames() (names []string) {
	for _, algorithm := range signatures() {
		names = append(names, string(algorithm))
	}
	return names
}
