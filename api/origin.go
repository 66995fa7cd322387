package api

import (
	"net/http"

	"github.com/rs/cors"
)

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
