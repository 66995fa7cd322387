package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// Principals: who an idempotency key belongs to.
const (
	principalAnyone = "anonymous" // nobody was asked
	principalToken  = "token"
)

const bearerScheme = "bearer"

// bearer is what an operation declares unless it is public.
func bearer() []map[string][]string { return []map[string][]string{{bearerScheme: {}}} }

// authorized enforces what the document declares. It denies by default: an operation that declares nothing is closed
// to everybody, unless it is one of the health checks.
func (s *Server) authorized(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	switch op := hctx.Operation(); {
	case isHealth(op.OperationID):
		x.principal = principalAnyone
	case len(op.Security) == 0:
		writeProblem(w, r, errUnauthorized)
		return
	case s.config.Token == "":
		x.principal = principalAnyone
	case hasToken(r, s.config.Token):
		x.principal = principalToken
	default:
		writeProblem(w, r, errUnauthorized)
		return
	}
	next(hctx)
}

// hasToken takes the same time for every wrong token. Hashing first hides the right one's length as well.
func hasToken(r *http.Request, token string) bool {
	scheme, sent, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, bearerScheme) {
		return false
	}
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(sent))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
