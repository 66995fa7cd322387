package api

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Principals that are no key and no OIDC subject.
const (
	principalAnyone = "anonymous" // nobody was asked: a health check
	principalDev    = "dev"       // nobody was asked: the server is set up open
	principalToken  = "token"     // the bootstrap token of the configuration
)

// Principal is who asks.
type Principal struct {
	// Name is a key's id, oidc:<subject> or one of the words above, of at most 200 characters. An idempotency key is
	// unique per name, and the audit log knows people by it.
	Name       string
	Role       store.Role // empty: it may do nothing
	CustomerID string     // of a customer: whose orders it may see

	kind  kind      // of the credential
	key   keyID     // of a key or of the key behind a ticket
	until time.Time // when its OIDC token expires; zero: it has none
}

// kind is the kind of credential that a principal came with.
type kind string

const (
	kindKey    kind = "key"
	kindTicket kind = "ticket"
	kindOIDC   kind = "oidc"
	kindToken  kind = principalToken
	kindDev    kind = principalDev
	kindAnyone kind = principalAnyone
)

// owns says whether a customer's orders are there for the principal. To a customer nobody else's are.
func (p Principal) owns(customerID string) bool {
	return p.Role != store.Customer || p.CustomerID == customerID
}

// follows is whose events the principal gets if it asks for those of a customer; "" is everybody.
func (p Principal) follows(customerID string) (string, error) {
	if customerID == "" && p.Role == store.Customer {
		customerID = p.CustomerID
	}
	if !p.owns(customerID) {
		return "", &forbiddenError{"A customer follows orders of its own only: customerId must be its own."}
	}
	return customerID, nil
}

// restrict narrows a list to what the principal may see. false: that is nothing.
func (p Principal) restrict(f *store.Filter) bool {
	if f.CustomerID == "" && p.Role == store.Customer {
		f.CustomerID = p.CustomerID
	}
	return p.owns(f.CustomerID)
}

// checkPlacement refuses an order for somebody else.
func (p Principal) checkPlacement(placement *orders.Placement) error {
	if !p.owns(placement.CustomerID) {
		return &forbiddenError{"A customer places orders of its own only: customerId must be its own."}
	}
	return nil
}

// may says whether the principal has a permission.
func (p Principal) may(needed permission) error {
	if !needed.includes(p.Role) {
		return &forbiddenError{fmt.Sprintf("The role %q may not do this.", p.Role)}
	}
	return nil
}

// Actor is the principal as the audit log knows it.
func (p Principal) Actor(r *http.Request, requestID string) store.Actor {
	address := r.RemoteAddr
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return store.Actor{Name: p.Name, Role: p.Role, RequestID: requestID, RemoteAddress: address}
}
