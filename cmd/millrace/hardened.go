package main

import "net/http"

// Policies of the pages on the operations address. River UI loads its scripts from its own address, and its components
// set styles in the page. The index of profiles has inline styles.
const (
	strictPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	riverPolicy  = strictPolicy +
		"; script-src 'self'; connect-src 'self'; font-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
	profilePolicy = strictPolicy + "; style-src 'unsafe-inline'"
)

// hardened sets headers for every answer of the operations address. Other sites cannot frame its pages, browsers do not
// guess content types, and other sites do not learn its addresses.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", strictPolicy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// policed serves a page with a policy other than strictPolicy.
func policed(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}
