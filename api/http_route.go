package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"
)

func notFound(w http.ResponseWriter, r *http.Request) { writeProblem(w, r, errNoRoute) }

// methodNotAllowed says which methods there are. chi does so only in its own answer, which is empty.
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

// crossOrigin lets pages of other sites use the API (CORS). Credentials are never ambient here, neither cookies nor
// client certificates, so a site can do no more than whoever gave it a key or a ticket. Preflights of all others get an
// answer that allows nothing.
func crossOrigin(origins []string) func(http.Handler) http.Handler {
	if len(origins) == 0 {
		return func(next http.Handler) http.Handler { return next } // the library would allow everybody
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{
			http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete,
		},
		AllowedHeaders: []string{"*"}, MaxAge: 600,
		ExposedHeaders: []string{
			"ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy",
			"Retry-After", "X-Request-Id",
		},
	}).Handler
}

// sameOrigin refuses what pages of other sites want to change, but for the allowed ones. CORS is not enough: browsers
// send a form, or JSON that is declared as text, without a preflight, and an open server asks for no credential.
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
