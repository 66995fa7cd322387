package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/board"
	"github.com/millrace-orders/millrace/limit"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// maxOpsBody has room for the ids of a thousand jobs. The audit log keeps all of it, although nothing can be deleted
// from there. Its column has room for the longest body that is stored in three times its length.
const maxOpsBody = 16 << 10

// guard protects the whole operations address. It decides by the principal and the method, never by the path, so no
// path gets around it. Pages that not every role may read are marked where they are mounted.
type guard struct {
	auth    *auth.Authenticator
	store   *store.Store
	limiter *limit.Limiter
	logger  *slog.Logger
	next    http.Handler
}

// Limits of the operations address, per minute and process. River UI sends several requests every two seconds.
const (
	opsRequests = 1200 // of a principal
	opsAttempts = 60   // with wrong credentials, of an address: each may cost a query
	opsRefusals = 30   // forbidden changes, of a principal: each is a row in the audit log
)

var errOpsLimited = errors.New("too many requests")

type callerKey struct{}

// opsCaller returns the caller whom the guard let pass.
func opsCaller(r *http.Request) board.Caller {
	caller, _ := r.Context().Value(callerKey{}).(board.Caller)
	return caller
}

// ServeHTTP lets operators do everything and viewers read. Every change is in the audit log before it happens, and so
// is every attempt by a principal without the permission.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Request-Id", id)
	recorder := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
	who, err := g.enter(r)
	defer func(start time.Time) { g.log(r, recorder.Status(), id, who, time.Since(start)) }(time.Now())
	if err != nil {
		g.refuse(recorder, r, err)
		return
	}
	g.serve(recorder, r, who, id)
}

func onlyReads(r *http.Request) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method)
}

func (g *guard) serve(w http.ResponseWriter, r *http.Request, who auth.Principal, id string) {
	operator := who.Role == roles.Admin || who.Role == roles.Operator
	reads := onlyReads(r)
	allowed := operator || who.Role == roles.Viewer && reads
	if !reads && !allowed && !g.limiter.Allow("refused:"+who.Name, opsRefusals).Allowed {
		g.refuse(w, r, errOpsLimited)
		return
	}
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
	caller := board.Caller{Actor: who.Actor(r, id), Operates: operator}
	g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
}

// log logs a refused request, as the API does. It does not log answered requests: River UI sends some every two
// seconds.
func (g *guard) log(r *http.Request, status int, id string, who auth.Principal, took time.Duration) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		return
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	g.logger.LogAttrs(r.Context(), slog.LevelInfo, "operations request", append([]slog.Attr{
		slog.String("method", r.Method), slog.Int("status", status), slog.Float64("duration_seconds", took.Seconds()),
		slog.String("request_id", id), slog.String("remote_address", address),
	}, who.LogAttrs()...)...)
}

// enter authenticates the caller. A credential that this process does not know to be right must fit under the limit of
// its address before it costs a database query.
func (g *guard) enter(r *http.Request) (auth.Principal, error) {
	if !g.auth.Recognizes(r, true) {
		address, _, _ := net.SplitHostPort(r.RemoteAddr)
		room, release := g.limiter.Reserve("address:"+address, opsAttempts)
		if !room.Allowed {
			return auth.Principal{}, errOpsLimited
		}
		defer release()
		who, err := g.auth.Authenticate(r, true)
		if errors.Is(err, auth.ErrUnauthorized) {
			g.limiter.Allow("address:"+address, opsAttempts)
		}
		return who, err
	}
	who, err := g.auth.Authenticate(r, true)
	if err != nil && !errors.Is(err, auth.ErrUnauthorized) && onlyReads(r) {
		if remembered, ok := g.auth.RememberedReader(r, true); ok { // or an outage could not be watched
			who, err = remembered, nil
		}
	}
	if err == nil && !g.limiter.Allow("principal:"+who.Name, opsRequests).Allowed {
		err = errOpsLimited
	}
	return who, err
}

// refuse answers a request whose sender is unknown, cannot be authenticated at the moment, or sends too many requests.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, auth.ErrUnauthorized):
		w.Header().Set("WWW-Authenticate", `Basic realm="millrace", charset="UTF-8"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case errors.Is(err, errOpsLimited):
		w.Header().Set("Retry-After", "60")
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	case errors.Is(err, errOpsBody), errors.Is(err, errOpsPath):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.As(err, &tooLarge):
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
	default:
		g.logger.WarnContext(r.Context(), "operations request not authenticated or audited", "error", err)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The database does not answer, so the request can be neither authenticated nor audited.\n"+
			"Look at the database first. Runbook: MillraceDatabaseUnavailable.", http.StatusServiceUnavailable)
	}
}

// audit records the principal and the request, with the body, which has the ids of jobs. It records no body of a
// refused request: its sender must not fill the log. Errors: errOpsBody and errOpsPath, and then the attempt is in the
// log.
func (g *guard) audit(w http.ResponseWriter, r *http.Request, by store.Actor, allowed bool) error {
	entry := store.AuditEntry{
		Actor: by, Action: r.Method, Target: r.URL.EscapedPath(), Detail: map[string]any{"allowed": allowed},
	}
	if !allowed {
		return g.store.Audit.Write(r.Context(), []store.AuditEntry{entry})
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOpsBody))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	detail, unreadable := recordedBody(r, body)
	maps.Copy(entry.Detail, detail)
	if len(entry.Target) > orders.MaxTextLength && unreadable == nil {
		entry.Detail["unreadable"], unreadable = true, errOpsPath
	}
	if err := g.store.Audit.Write(r.Context(), []store.AuditEntry{entry}); err != nil {
		return err
	}
	return unreadable
}

// profile restricts profiles to operators: they show the process's memory. A profile is also too expensive to be
// triggered by a page of another site: a picture with this address would make the operator's browser send the password.
func profile(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !opsCaller(r).Operates {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			http.Error(w, "request of a page of another site", http.StatusForbidden)
			return
		}
		h(w, r)
	})
}
