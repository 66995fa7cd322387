// Package auth finds out who sent a request: the bootstrap token, a key, a ticket, or a token of an identity provider.
//
// It imports store for keys and tickets, and knows no operation: its callers decide what a principal may do.
package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
)

// Errors about credentials.
var (
	// ErrUnauthorized means that a credential is missing or not valid. It does not give the reason.
	ErrUnauthorized = errors.New("missing or wrong credential")
	// ErrNoIssuer means that a token cannot be verified now, because the identity provider does not answer.
	ErrNoIssuer = errors.New("identity provider unavailable")
)

const (
	// verifiedFor is how long a verified credential is accepted without another look-up. A revoked credential works in
	// any process for at most this time and the time of one look-up; RememberedReader is the exception.
	verifiedFor          = time.Second
	rememberedFor        = time.Hour // see RememberedReader
	defaultVerifyTimeout = time.Second
	maxCredential        = 8 << 10
)

// Config says which credentials to accept. The zero value accepts none.
type Config struct {
	// Keys looks up keys. May be nil; then no key is accepted.
	Keys *store.Credentials
	// Token, if set, is an admin's credential that needs no database. It is used to make the first key.
	Token string
	// OIDC verifies tokens of an identity provider. May be nil.
	OIDC *OIDC
	// Open accepts requests without a credential, as an admin, until Closed is closed. An open server must listen on
	// loopback only and call CheckLocal first.
	Open    bool
	Closed  <-chan struct{}  // nil: it stays open
	Timeout time.Duration    // of looking a credential up in the database; default 1 s
	Now     func() time.Time // default time.Now
}

// credentialHash is the SHA-256 of a secret that a client sent. A look-up by hash tells nothing about the credential.
type credentialHash string

// ticketHash is the SHA-256 of a ticket's text.
type ticketHash string

// keyID is the public name of a key. It is not a credential.
type keyID string

// Authenticator finds out which principal sent a request. It is safe for concurrent use.
type Authenticator struct {
	config  Config
	token   atomic.Pointer[string]
	renewed atomic.Pointer[time.Time] // when another token took the place of one; nil if none has
	// Credentials that a client sends are looked up in verified only. upheld is for keys that are known by their id.
	verified *recent[credentialHash, Principal]
	upheld   *recent[keyID, struct{}]
	// recognized has the credentials that were verified before, even if verifiedFor has passed. Of a key it has the
	// principal, and until when that is remembered.
	recognized *lru.Cache[credentialHash, recentValue[Principal]]
	tickets    *lru.Cache[ticketHash, struct{}] // that this process made
}

// New makes an Authenticator. It sends no request yet.
func New(c Config) *Authenticator {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = defaultVerifyTimeout
	}
	recognized, _ := lru.New[credentialHash, recentValue[Principal]](maxRecent) // fails for sizes below 1 only
	tickets, _ := lru.New[ticketHash, struct{}](maxRecent)
	a := &Authenticator{
		config: c, verified: newRecent[credentialHash, Principal](c.Now), upheld: newRecent[keyID, struct{}](c.Now),
		recognized: recognized, tickets: tickets,
	}
	a.token.Store(&c.Token)
	return a
}

// SetToken replaces the admin's token. The old one opens nothing any more, and neither do the tickets made with it.
func (a *Authenticator) SetToken(token string) {
	if token == *a.token.Load() {
		return
	}
	now := a.config.Now()
	a.renewed.Store(&now)
	a.token.Store(&token)
}

// Authenticate returns the principal that sent a request: by its bearer token or, for browsers if basic is set, by the
// password of any user. A nil *Authenticator refuses every request.
//
// Errors: ErrUnauthorized; any other error means that the credential cannot be verified now.
func (a *Authenticator) Authenticate(r *http.Request, basic bool) (Principal, error) {
	if a == nil {
		return Principal{}, ErrUnauthorized
	}
	credential, sent := credentialOf(r, basic)
	if !sent && a.IsOpen() {
		return Principal{Name: nameDev, Role: roles.Admin, kind: kindDev}, nil
	}
	return a.verify(r.Context(), credential)
}

// RememberedReader returns the principal of a request whose key cannot be verified now, because the database does not
// answer: as a viewer, if this process verified the key within the last hour, its role may read everything, and it has
// not expired. Without it, Prometheus could not read the metrics of an outage. A key that was revoked after its last
// use here reads on until the database answers. Call it only after Authenticate failed with an error other than
// ErrUnauthorized.
func (a *Authenticator) RememberedReader(r *http.Request, basic bool) (Principal, bool) {
	credential, _ := credentialOf(r, basic)
	v, ok := a.recognized.Get(hashOf(credential))
	p := v.value
	reader := p.Role == roles.Admin || p.Role == roles.Operator || p.Role == roles.Viewer
	if !ok || !reader || !a.config.Now().Before(v.until) {
		return Principal{}, false
	}
	p.Role = roles.Viewer
	return p, true
}

// Recognizes reports whether the request's credential can be refused without a look-up, or was verified before in this
// process. Otherwise the caller must apply the limit of the client's address before it calls Authenticate.
func (a *Authenticator) Recognizes(r *http.Request, basic bool) bool {
	if a == nil {
		return true
	}
	credential, _ := credentialOf(r, basic)
	switch a.form(credential) {
	case formUnknown, formToken:
		return true
	case formKey, formOIDC:
	}
	return a.recognized.Contains(hashOf(credential))
}

// credentialOf returns the credential that a client sent.
func credentialOf(r *http.Request, basic bool) (credential string, sent bool) {
	if _, password, ok := r.BasicAuth(); ok && basic {
		return password, true
	}
	return bearerToken(r)
}

// bearerToken reads the header Authorization. A header in a different form counts as a wrong token.
func bearerToken(r *http.Request) (token string, sent bool) {
	header := r.Header.Get("Authorization")
	scheme, token, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "bearer") {
		return "", header != ""
	}
	return token, true
}

func hashOf(credential string) credentialHash {
	sum := sha256.Sum256([]byte(credential))
	return credentialHash(sum[:])
}

// form is the form of a credential. It decides whether and where the credential is looked up.
type form int

const (
	formUnknown form = iota // cannot be a valid credential
	formToken               // the bootstrap token itself
	formKey                 // a key
	formOIDC                // a signed token
)

func (a *Authenticator) form(credential string) form {
	switch {
	case credential == "" || len(credential) > maxCredential:
		return formUnknown
	case isToken(*a.token.Load(), credential):
		return formToken
	case store.IsKey(credential) && a.config.Keys != nil:
		return formKey
	case a.config.OIDC != nil && isCompactToken(credential):
		return formOIDC
	default:
		return formUnknown
	}
}

func isToken(token, credential string) bool { return token != "" && isEqual(token, credential) }

// isEqual reports whether two texts are equal. It takes the same time wherever they differ.
func isEqual(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(hashOf(a)), []byte(hashOf(b))) == 1
}

// verify returns the principal of a credential. It looks up only texts that have the form of a credential.
func (a *Authenticator) verify(ctx context.Context, credential string) (p Principal, err error) {
	form := a.form(credential)
	switch form {
	case formUnknown:
		return Principal{}, ErrUnauthorized
	case formToken:
		return Principal{Name: nameToken, Role: roles.Admin, kind: kindToken}, nil
	case formKey, formOIDC:
	}
	hash := hashOf(credential)
	if form == formKey {
		p, err = a.verified.get(ctx, hash, func(ctx context.Context) (Principal, time.Time, error) {
			p, until, err := a.verifyKey(ctx, credential)
			if err == nil {
				a.recognized.Add(hash, recentValue[Principal]{p, earliest(until, a.config.Now().Add(rememberedFor))})
			}
			return p, until, err
		})
	} else {
		p, err = a.verifyOIDC(ctx, hash, credential)
	}
	switch {
	case err == nil && form == formOIDC:
		a.recognized.Add(hash, recentValue[Principal]{})
	case errors.Is(err, ErrUnauthorized):
		a.recognized.Remove(hash) // from now on it counts as a wrong credential
	}
	return p, err
}

// verifyKey looks a key up in the database, and returns when the key expires; zero if never.
func (a *Authenticator) verifyKey(ctx context.Context, text string) (Principal, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
	defer cancel()
	key, err := a.config.Keys.VerifyKey(ctx, text)
	if errors.Is(err, store.ErrKeyRefused) {
		err = ErrUnauthorized
	}
	if err != nil {
		return Principal{}, time.Time{}, err
	}
	return Principal{
		Name: key.ID, Role: key.Role, CustomerID: key.CustomerID, kind: kindKey, key: keyID(key.ID),
	}, key.ExpiresAt, nil
}

// verifyOIDC verifies a token. Callers share no look-up: all of them would wait if one waits for the provider.
func (a *Authenticator) verifyOIDC(ctx context.Context, hash credentialHash, token string) (Principal, error) {
	if p, ok := a.verified.load(hash); ok {
		return p, nil
	}
	asked := a.config.Now()
	p, until, err := a.config.OIDC.verify(ctx, token)
	if err == nil {
		a.verified.store(hash, p, earliest(until, asked.Add(verifiedFor)))
	}
	return p, err
}

// holds checks by its id that a key is still valid. It is for the keys behind tickets, and never for a text that a
// client sent.
func (a *Authenticator) holds(ctx context.Context, id keyID) error {
	_, err := a.upheld.get(ctx, id, func(ctx context.Context) (struct{}, time.Time, error) {
		ctx, cancel := context.WithTimeout(ctx, a.config.Timeout)
		defer cancel()
		key, err := a.config.Keys.Key(ctx, string(id))
		if err == nil && !key.Usable(a.config.Now()) || errors.Is(err, store.ErrKeyNotFound) {
			err = ErrUnauthorized
		}
		return struct{}{}, key.ExpiresAt, err
	})
	return err
}
