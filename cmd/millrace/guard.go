package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store"
)

// maxOpsBody is room for the ids of a thousand jobs. All of it goes into the audit log.
const maxOpsBody = 16 << 10

// guard stands before everything on the operations address. It looks at who asks and at the method, never at the
// path, so there is no path that gets around it; what not every role may read is marked where it is mounted.
type guard struct {
	auth   *api.Authenticator
	store  *store.Store
	logger *slog.Logger
	next   http.Handler
}

type operatorKey struct{}

// ServeHTTP lets operators do everything and viewers look. What changes something is in the audit log before it
// happens, and so is every attempt at it by somebody who may not.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Request-Id", id)
	who, err := g.auth.Authenticate(r, true)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	operator := who.Role == store.Admin || who.Role == store.Operator
	reads := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method)
	allowed := operator || who.Role == store.Viewer && reads
	if !reads {
		if err := g.audit(w, r, who.Actor(r, id), allowed); err != nil {
			g.refuse(w, r, err)
			return
		}
	}
	if !allowed {
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, operator)))
}

// refuse answers whom the guard does not know, or cannot know at the moment.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, api.ErrUnauthorized):
		w.Header().Set("WWW-Authenticate", `Basic realm="millrace", charset="UTF-8"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case errors.As(err, &tooLarge):
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
	default:
		g.logger.WarnContext(r.Context(), "operations request not authenticated or audited", "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
	}
}

// audit writes down who wants what, with the body, which says which jobs. River UI's bodies are JSON; what is not will
// be refused, and only its size is noted.
func (g *guard) audit(w http.ResponseWriter, r *http.Request, by store.Actor, allowed bool) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOpsBody))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	detail := map[string]any{"allowed": allowed}
	switch {
	case json.Valid(body) && !bytes.Contains(body, []byte(`\u0000`)): // which jsonb cannot have
		detail["body"] = json.RawMessage(body)
	case len(body) > 0:
		detail["bytes"] = len(body)
	}
	return g.store.Audit(r.Context(), []store.AuditEntry{{
		Actor: by, Action: r.Method, Target: r.URL.EscapedPath(), Detail: detail,
	}})
}

// profile is for operators: profiles show what is in memory. It costs too much to be taken because a page of another
// site has a picture of this address, which browsers ask for with the operator's password.
func profile(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if operator, _ := r.Context().Value(operatorKey{}).(bool); !operator {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			http.Error(w, "a page of another site asked for this", http.StatusForbidden)
			return
		}
		h(w, r)
	})
}
