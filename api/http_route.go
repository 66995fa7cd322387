package api

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"
)

func notFound(w http.ResponseWriter, r *http.Request) { writeProblem(w, r, errNoRoute) }

// methodNotAllowed lists the allowed methods in a problem. chi lists them only in its own, empty answer.
func methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{
			http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		if len(allowed) == 0 { // chi asks for the method first
			notFound(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, r, errMethod)
	}
}

// origins decides about requests of pages of other sites. The sites may change while requests are served.
type origins struct {
	next    http.Handler
	current atomic.Pointer[http.Handler]
}

// guard is the middleware.
func (o *origins) guard(next http.Handler) http.Handler {
	o.next = next
	o.set(nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*o.current.Load()).ServeHTTP(w, r) })
}

// set allows these sites and no others.
func (o *origins) set(allowed []string) {
	handler := crossOrigin(allowed)(sameOrigin(allowed)(o.next))
	o.current.Store(&handler)
}

// crossOrigin lets pages of other sites use the API (CORS). The API takes no ambient credentials such as cookies or
// client certificates, so a page has only the rights of the key or ticket that it was given. Preflights from other
// sites get an answer that allows nothing.
func crossOrigin(origins []string) func(http.Handler) http.Handler {
	if len(origins) == 0 {
		return func(next http.Handler) http.Handler { return next } // the library would allow all sites
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{"*"}, MaxAge: 600,
		ExposedHeaders: []string{
			"ETag", "Idempotency-Replayed", "Link", "Location", "Millrace-Position", "Preference-Applied", "RateLimit",
			"RateLimit-Policy", "Retry-After", "X-Request-Id",
		},
	}).Handler
}

// sameOrigin refuses changes from pages of other sites, except the allowed sites. CORS is not enough: browsers send a
// form, or JSON that is declared as text, without a preflight, and an open server needs no credential.
func sameOrigin(origins []string) func(http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			panic(err) // cmd has checked them
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, errCrossOrigin)
	}))
	return protection.Handler
}
