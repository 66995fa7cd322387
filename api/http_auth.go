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
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const bearerScheme = "bearer"

// bearer is what an operation declares unless it is public.
func bearer() []map[string][]string { return []map[string][]string{{bearerScheme: {}}} }

// authorized enforces the permissions that operations declare. It denies by default: an operation that declares none
// is closed to every caller.
func (s *Server) authorized(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	needed := declared(hctx.Operation()).permission
	if needed == permitAnyone {
		x.principal = Principal{auth.Anyone()}
		next(hctx)
		return
	}
	err := s.enter(w, r, needed)
	if err == nil {
		err = s.occupy(x)
	}
	if err == nil {
		err = s.permitted(hctx, x.principal, needed)
	}
	if err != nil {
		writeProblem(w, r, err)
		return
	}
	next(hctx)
}

// enter finds out who asks. A credential that this process has not seen to be right costs a look-up, so the client's
// address needs room under its limit before.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, needed permission) (err error) {
	x := exchangeOf(r.Context())
	ticket := ""
	if needed == permitFollow { // elsewhere the query is not looked at
		ticket = r.URL.Query().Get(paramTicket)
	}
	recognized := ticket == "" && s.config.Auth.Recognizes(r, false) ||
		ticket != "" && s.config.Auth.RecognizesTicket(ticket)
	if !recognized && s.limits(r) {
		release, limited := s.reserve(w, r)
		if limited != nil {
			return limited
		}
		defer release()
	}
	x.principal.Principal, x.stillAllowed, err = s.config.Auth.Identify(r, ticket)
	if err != nil && !recognized && s.limits(r) && errors.Is(err, auth.ErrUnauthorized) {
		if limited := s.rate(w, r, s.addressOf(r)); limited != nil { // counted before release
			return limited
		}
	}
	return err
}

// permitted decides whether the operation may run.
func (s *Server) permitted(hctx huma.Context, p Principal, needed permission) error {
	if err := p.may(needed); err != nil {
		return err
	}
	return s.visible(hctx, p)
}

// audited has the audit log know before the operation runs: whatever was done is in the log, at the price that what
// was asked for and then refused is there, too.
func (s *Server) audited(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	if declared(hctx.Operation()).permission.audited(x.principal) {
		if err := s.config.Store.Audit.Write(r.Context(), []store.AuditEntry{{
			Actor: x.principal.Actor(r, x.requestID), Action: x.operation,
			Target: cmp.Or(hctx.Param(paramOrder), hctx.Param("webhookId")),
		}}); err != nil {
			writeProblem(w, r, err)
			return
		}
	}
	next(hctx)
}

// paramTicket is in the query of what can be followed with a ticket.
const paramTicket = "ticket"

// paramOrder is in the path of what is about one order.
const paramOrder = "id"

// visible hides other customers' orders from a customer: they are missing. The order comes from the cache, and whose
// it is never changes. An id that is no id is left to the operation.
func (s *Server) visible(hctx huma.Context, p Principal) error {
	if p.Role != roles.Customer || !strings.Contains(hctx.Operation().Path, "{"+paramOrder+"}") {
		return nil
	}
	id, err := orderID(hctx.Param(paramOrder)).parse()
	if err != nil {
		return nil //nolint:nilerr // the operation finds it, too, and says it better
	}
	order, err := s.config.Cache.Get(hctx.Context(), id, 0)
	if err != nil {
		return err
	}
	if !p.Owns(order.CustomerID) {
		return orders.ErrNotFound
	}
	return nil
}

// sheltered refuses what was not made on this machine while the server is open, health checks and documents included.
func (s *Server) sheltered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.config.Auth.IsOpen() {
			if err := auth.CheckLocal(r); err != nil {
				writeProblem(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
