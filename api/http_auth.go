package api

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const bearerScheme = "bearer"

// bearer returns the security that an operation declares unless it is public.
func bearer() []map[string][]string { return []map[string][]string{{bearerScheme: {}}} }

// access decides which callers may run an operation.
type access struct {
	auth  *auth.Authenticator
	audit *store.Audit
	cache *cache.Orders
	rates *rates
	load  *load
	// refusals bounds how many refused changes of one principal are rows of the audit log.
	refusals *limit.Limiter
}

// auditedRefusals is how many refused changes of one principal are audited per minute and process.
const auditedRefusals = 30

// authorized enforces the permissions that operations declare. An operation without a permission is closed to every
// caller.
func (a *access) authorized(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	needed := declared(hctx.Operation()).permission
	if needed == permitAnyone {
		x.principal = Principal{auth.Anyone()}
		next(hctx)
		return
	}
	err := a.enter(w, r, needed)
	if err == nil {
		err = a.load.occupy(x)
	}
	if err == nil {
		x.actor = x.principal.Actor(r, x.requestID)
		err = a.permitted(hctx, x, needed)
	}
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	next(hctx)
}

// enter authenticates the caller. A credential that this process has not verified before costs a look-up, so the
// client's address needs room under its limit first.
func (a *access) enter(w http.ResponseWriter, r *http.Request, needed permission) (err error) {
	x := exchangeOf(r.Context())
	ticket := ""
	if needed == permitFollow { // other operations take no ticket
		ticket = r.URL.Query().Get(paramTicket)
	}
	recognized := ticket == "" && a.auth.Recognizes(r, false) ||
		ticket != "" && a.auth.RecognizesTicket(ticket)
	if !recognized && a.rates.applies(r) {
		release, limited := a.rates.reserve(w, r)
		if limited != nil {
			return limited
		}
		defer release()
	}
	x.principal.Principal, x.stillAllowed, err = a.auth.Identify(r, ticket)
	if err != nil && !recognized && a.rates.applies(r) && errors.Is(err, auth.ErrUnauthorized) {
		if limited := a.rates.rate(w, r, a.rates.addressOf(r)); limited != nil { // counted before release
			return limited
		}
	}
	return err
}

// permitted decides whether the operation may run.
func (a *access) permitted(hctx huma.Context, x *exchange, needed permission) error {
	if err := x.principal.may(needed); err != nil {
		if unaudited := a.refused(hctx, x, needed); unaudited != nil {
			return unaudited
		}
		return err
	}
	return a.visible(hctx, x.principal)
}

// refused writes into the audit log that a caller tried a change that it may not make.
func (a *access) refused(hctx huma.Context, x *exchange, needed permission) error {
	if !needed.refusalAudited(x.principal) || !a.refusals.Allow(x.principal.Name, auditedRefusals).Allowed {
		return nil
	}
	return a.audit.Write(hctx.Context(), []store.AuditEntry{{
		Actor: x.actor, Action: hctx.Operation().OperationID, Target: target(hctx), Detail: map[string]any{"allowed": false},
	}})
}

// target returns what a request is about, for the audit log.
func target(hctx huma.Context) string {
	return cmp.Or(hctx.Param(paramOrder), hctx.Param("webhookId"), hctx.Param("lane"))
}

// audited writes the audit log before the operation runs. So everything that was done is in the log, at the price that
// refused requests are there, too.
func (a *access) audited(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	if declared(hctx.Operation()).permission.audited(x.principal) {
		if err := a.audit.Write(r.Context(), []store.AuditEntry{{
			Actor: x.actor, Action: x.operation, Target: target(hctx),
		}}); err != nil {
			writeProblem(w, r, err)
			return
		}
	}
	next(hctx)
}

// paramTicket is the query parameter of operations that take a ticket.
const paramTicket = "ticket"

// paramOrder is the path parameter of operations on one order.
const paramOrder = "id"

// visible hides other customers' orders from a customer, as if they did not exist. The order may come from the cache,
// because its customer never changes. The operation itself refuses a malformed id.
func (a *access) visible(hctx huma.Context, p Principal) error {
	if p.Role != roles.Customer || !strings.Contains(hctx.Operation().Path, "{"+paramOrder+"}") {
		return nil
	}
	id, err := orderID(hctx.Param(paramOrder)).parse()
	if err != nil {
		return nil //nolint:nilerr // the operation refuses the id, too, with a better message
	}
	order, err := a.cache.Get(hctx.Context(), id, 0)
	if archived, ok := errors.AsType[*orders.ArchivedError](err); ok && !p.Owns(archived.CustomerID) {
		return orders.ErrNotFound
	}
	if err != nil {
		return err
	}
	if !p.Owns(order.CustomerID) {
		return orders.ErrNotFound
	}
	return nil
}

// sheltered refuses requests from other machines while the server is open, health checks and documents included.
func (a *access) sheltered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.auth.IsOpen() {
			if err := auth.CheckLocal(r); err != nil {
				writeProblem(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
