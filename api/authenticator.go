package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/millrace-orders/millrace/store"
)

// ErrUnauthorized says that a credential is missing or opens nothing, and not why.
var ErrUnauthorized = errors.New("missing or wrong credential")

const (
	// verifiedFor is how long a credential that was right counts as right without asking: the longest that a revoked
	// one goes on working in any process, together with the time that asking may take.
	verifiedFor          = time.Second
	defaultVerifyTimeout = time.Second
	maxVerified          = 10_000
	maxCredential        = 8 << 10
)

// AuthConfig says whom to let in. With nothing set that is nobody.
type AuthConfig struct {
	// Keys looks keys up. May be nil: then there are none.
	Keys *store.Store
	// Token, if set, is a credential of an admin that needs no database: with it the first key is made.
	Token string
	// OIDC verifies tokens of an identity provider. May be nil.
	OIDC *OIDC
	// Open lets in requests without a credential, as an admin, until Closed is closed: listen on loopback only. A server
	// that is open asks CheckLocal first.
	Open    bool
	Closed  <-chan struct{}  // nil: it stays open
	Timeout time.Duration    // of looking a credential up in the database; default 1 s
	Now     func() time.Time // default time.Now
}

// Authenticator finds out who asks. It is safe for concurrent use.
type Authenticator struct {
	config  AuthConfig
	lookups singleflight.Group

	mu       sync.Mutex
	verified map[[sha256.Size]byte]verifiedCredential // right ones only: wrong ones cost the same each time
}

type verifiedCredential struct {
	principal Principal
	until     time.Time
}

// NewAuthenticator makes an Authenticator. It asks nobody anything yet.
func NewAuthenticator(c AuthConfig) *Authenticator {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = defaultVerifyTimeout
	}
	return &Authenticator{config: c, verified: make(map[[sha256.Size]byte]verifiedCredential)}
}

// Authenticate finds out who sent a request: by a bearer token or, for browsers if basic is set, by the password of
// any user. No *Authenticator lets nobody in.
//
// Errors: ErrUnauthorized; any other says that nobody can tell at the moment.
func (a *Authenticator) Authenticate(r *http.Request, basic bool) (Principal, error) {
	if a == nil {
		return Principal{}, ErrUnauthorized
	}
	credential, sent := bearerToken(r)
	if _, password, ok := r.BasicAuth(); ok && basic {
		credential, sent = password, true
	}
	if !sent && a.IsOpen() {
		return Principal{Name: principalDev, Role: store.Admin}, nil
	}
	return a.verify(r.Context(), credential)
}

// bearerToken reads the header. What is there but no bearer token is a wrong one.
func bearerToken(r *http.Request) (token string, sent bool) {
	header := r.Header.Get("Authorization")
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, bearerScheme) {
		return "", header != ""
	}
	return token, true
}

// verify looks a credential up, in what was verified a moment ago first. That is kept by hash: a comparison of hashes
// tells nothing about the credential.
func (a *Authenticator) verify(ctx context.Context, credential string) (Principal, error) {
	if credential == "" || len(credential) > maxCredential {
		return Principal{}, ErrUnauthorized
	}
	hash := sha256.Sum256([]byte(credential))
	if token := sha256.Sum256([]byte(a.config.Token)); a.config.Token != "" &&
		subtle.ConstantTimeCompare(token[:], hash[:]) == 1 {
		return Principal{Name: principalToken, Role: store.Admin}, nil
	}
	return a.lookUp(ctx, hash, func(ctx context.Context) (Principal, time.Time, error) { return a.find(ctx, credential) })
}

// lookUp finds a principal by something that has this hash, unless it was found a moment ago.
func (a *Authenticator) lookUp(
	ctx context.Context, hash [sha256.Size]byte, find func(context.Context) (Principal, time.Time, error),
) (Principal, error) {
	if principal, ok := a.remembered(hash); ok {
		return principal, nil
	}
	// Who asks first asks for all who come meanwhile, so its own leaving must not end it.
	found, err, _ := a.lookups.Do(string(hash[:]), func() (any, error) {
		asked := a.config.Now() // what is found may be as old as this
		principal, until, err := find(context.WithoutCancel(ctx))
		if err == nil {
			a.remember(hash, principal, earliest(until, asked.Add(verifiedFor)))
		}
		return principal, err
	})
	if err != nil {
		return Principal{}, err
	}
	return found.(Principal), nil
}

// find verifies a credential, and says until when it is good; zero: for ever.
func (a *Authenticator) find(ctx context.Context, credential string) (Principal, time.Time, error) {
	switch {
	case store.IsKey(credential) && a.config.Keys != nil:
		ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
		defer cancel()
		key, err := a.config.Keys.VerifyKey(ctx, credential)
		if errors.Is(err, store.ErrKeyRefused) {
			return Principal{}, time.Time{}, ErrUnauthorized
		}
		return keyPrincipal(key), key.ExpiresAt, err
	case a.config.OIDC != nil:
		return a.config.OIDC.verify(ctx, credential)
	default:
		return Principal{}, time.Time{}, ErrUnauthorized
	}
}

func keyPrincipal(key store.Key) Principal {
	return Principal{Name: key.ID, Role: key.Role, CustomerID: key.CustomerID, isKey: true}
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (a *Authenticator) remembered(hash [sha256.Size]byte) (Principal, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.verified[hash]
	return v.principal, ok && a.config.Now().Before(v.until)
}

// remember makes room by forgetting what has run out, and everything if that is not enough: it only costs lookups.
func (a *Authenticator) remember(hash [sha256.Size]byte, p Principal, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.verified) >= maxVerified {
		now := a.config.Now()
		for h, v := range a.verified {
			if !now.Before(v.until) {
				delete(a.verified, h)
			}
		}
	}
	if len(a.verified) >= maxVerified {
		clear(a.verified)
	}
	a.verified[hash] = verifiedCredential{p, until}
}
