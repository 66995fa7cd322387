package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	issuerTimeout   = 3 * time.Second // of one request to the identity provider
	issuerPause     = 5 * time.Second // between two attempts to discover it
	oidcPrefix      = "oidc:"
	defaultRole     = "role"
	defaultCustomer = "customer_id"
)

// signatures are the algorithms that are accepted, whatever a token or the provider says. All of them are asymmetric:
// a public key can never be taken for a shared secret.
func signatures() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}
}

// OIDCConfig names an identity provider and says what its tokens mean.
type OIDCConfig struct {
	Issuer   string // its URL, exactly as in iss
	Audience string // who the tokens must be for

	RoleClaim     string // has one of the roles; default role
	CustomerClaim string // has the customer's id, for the role customer; default customer_id
	Client        *http.Client
	Now           func() time.Time // default time.Now
}

// OIDC verifies tokens of one identity provider. It is discovered when the first token comes, so that Millrace starts
// while the provider is down.
type OIDC struct {
	config OIDCConfig

	mu      sync.Mutex
	keys    *keySet // nil until the provider was discovered
	triedAt time.Time
}

// NewOIDC makes an OIDC. It asks nobody anything yet.
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
	return &OIDC{config: c}
}

// verify checks a token and says until when it is good. What a stranger sends costs no more than its own
// length, and at most now and then a request to the provider.
//
// Errors: ErrUnauthorized, errNoIssuer.
func (o *OIDC) verify(ctx context.Context, token string) (Principal, time.Time, error) {
	parsed, err := jose.ParseSignedCompact(token, signatures())
	if err != nil || len(parsed.Signatures) != 1 {
		return Principal{}, time.Time{}, ErrUnauthorized
	}
	set, err := o.discovered(ctx)
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	candidates, err := set.find(ctx, parsed.Signatures[0].Header)
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

// principal reads the claims. One whose role is missing or unknown is somebody who may do nothing.
func (o *OIDC) principal(token *oidc.IDToken) (Principal, error) {
	name := oidcPrefix + token.Subject
	if token.Subject == "" || !isPrintable(name) {
		return Principal{}, ErrUnauthorized
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return Principal{}, ErrUnauthorized
	}
	p := Principal{Name: name}
	role, _ := claims[o.config.RoleClaim].(string)
	customer, _ := claims[o.config.CustomerClaim].(string)
	switch {
	case !store.Role(role).Known():
	case store.Role(role) != store.Customer:
		p.Role = store.Role(role)
	case isPrintable(customer):
		p.Role, p.CustomerID = store.Customer, customer
	}
	return p, nil
}

// isPrintable bounds what becomes part of an order and of the log.
func isPrintable(s string) bool { return orders.CheckCustomerID(s) == "" }

// discovered finds the provider's keys, once. While it cannot be reached it is left alone for a while between
// attempts, and whoever comes meanwhile is told so at once.
func (o *OIDC) discovered(ctx context.Context) (*keySet, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys != nil {
		return o.keys, nil
	}
	now := o.config.Now()
	if now.Sub(o.triedAt) < issuerPause {
		return nil, errNoIssuer
	}
	o.triedAt = now
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, o.config.Client), o.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoIssuer, err)
	}
	var endpoints struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&endpoints); err != nil || endpoints.Keys == "" {
		return nil, fmt.Errorf("%w: it names no keys", errors.Join(errNoIssuer, err))
	}
	o.keys = &keySet{url: endpoints.Keys, client: o.config.Client, now: o.config.Now}
	return o.keys, nil
}

func signatureNames() (names []string) {
	for _, algorithm := range signatures() {
		names = append(names, string(algorithm))
	}
	return names
}
