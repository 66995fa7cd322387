package auth

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
)

// Names of principals that are neither a key nor an OIDC subject.
const (
	nameAnyone = "anonymous" // no credential is needed: a health check
	nameDev    = "dev"       // no credential is needed: the server is open
	nameToken  = "token"     // the bootstrap token of the configuration
)

// Principal is the caller of a request.
type Principal struct {
	// Name is a key's id, oidc:<subject> or one of the names above, with at most 200 characters. An idempotency key is
	// unique per name, and the audit log names principals by it.
	Name       string
	Role       roles.Role // empty if the principal may do nothing
	CustomerID string     // for the role customer: the customer whose orders it may see

	kind  kind      // of the credential
	key   keyID     // of a key or of the key behind a ticket
	until time.Time // when its OIDC token expires; zero if it has none
}

// kind is the kind of credential that a principal came with.
type kind string

const (
	kindKey    kind = "key"
	kindTicket kind = "ticket"
	kindOIDC   kind = "oidc"
	kindToken  kind = nameToken
	kindDev    kind = nameDev
	kindAnyone kind = nameAnyone
)

// Owns reports whether a customer's orders exist for the principal. To a customer, only its own do.
func (p Principal) Owns(customerID string) bool {
	return p.Role != roles.Customer || p.CustomerID == customerID
}

// Known reports whether the principal has proved its identity.
func (p Principal) Known() bool { return p.Name != "" && p.Name != nameDev && p.Name != nameAnyone }

// IsDev reports whether the principal sent no credential because the server is open.
func (p Principal) IsDev() bool { return p.Name == nameDev }

// LogAttrs returns what access logs may have of the principal. The subjects of OIDC tokens are people, so they are left
// out.
func (p Principal) LogAttrs() (attrs []slog.Attr) {
	if p.kind != "" {
		attrs = append(attrs, slog.String("principal_kind", string(p.kind)))
	}
	if p.key != "" {
		attrs = append(attrs, slog.String("key_id", string(p.key)))
	}
	return attrs
}

// Anyone is the principal of a request that needs no credential.
func Anyone() Principal { return Principal{Name: nameAnyone, kind: kindAnyone} }

// Actor returns the principal in the form of the audit log.
func (p Principal) Actor(r *http.Request, requestID string) store.Actor {
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return store.Actor{Name: p.Name, Role: p.Role, RequestID: requestID, RemoteAddress: address}
}
