package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/limit"
)

// rates are the limits of how often a sender may send requests.
type rates struct {
	limiter *limit.Limiter // may be nil
	limits  atomic.Pointer[Limits]
	proxies []netip.Prefix
	refused *prometheus.CounterVec
}

// Limits are how many requests senders may send in the limiter's window.
type Limits struct {
	Base  int                // of a principal or, without one, of a client address; 0 for no limit
	Roles map[roles.Role]int // of roles with a limit of their own
}

// rated limits the requests of known principals. It runs after authorized.
func (l *rates) rated(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	if l.applies(r) {
		if err := l.rate(w, r, l.subject(r, x)); err != nil {
			writeProblem(w, r, err)
			return
		}
	}
	next(hctx)
}

func (l *rates) applies(r *http.Request) bool {
	return l.limiter != nil && strings.HasPrefix(r.URL.Path, apiPrefix)
}

// subject returns the name under which a request counts: the principal or, if no credential was needed, the client's
// address.
func (l *rates) subject(r *http.Request, x *exchange) string {
	if x.principal.Known() {
		return "principal:" + x.principal.Name
	}
	return l.addressOf(r)
}

func (l *rates) addressOf(r *http.Request) string {
	return "address:" + client(r, l.proxies).String()
}

// limit returns how many requests a sender may send in a window. A known principal has the limit of its role, if the
// role has one. 0 means no limit.
func (l *rates) limit(p Principal) int {
	limits := l.limits.Load()
	if own, ok := limits.Roles[p.Role]; ok && p.Known() {
		return own
	}
	return limits.Base
}

// rate counts a request of a subject and sets the header fields of draft-ietf-httpapi-ratelimit-headers. Without a
// limit it sets no fields.
func (l *rates) rate(w http.ResponseWriter, r *http.Request, subject string) error {
	x := exchangeOf(r.Context())
	x.rated = true
	most := l.limit(x.principal)
	if most == 0 {
		return nil
	}
	return l.decide(w, subject, most, l.limiter.Allow(subject, most))
}

// reserve takes room for one request under the limit of the client's address, before it is known whether the request
// counts for the address.
func (l *rates) reserve(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	most, address := l.limit(Principal{}), l.addressOf(r)
	if most == 0 {
		return func() {}, nil
	}
	d, release := l.limiter.Reserve(address, most)
	if d.Allowed {
		return release, nil
	}
	exchangeOf(r.Context()).rated = true
	return nil, l.decide(w, address, most, d)
}

// decide tells the client what the limiter decided.
func (l *rates) decide(w http.ResponseWriter, subject string, most int, d limit.Decision) error {
	window := problems.Seconds(l.limiter.Window())
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%s`, most, window))
	w.Header().Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%s`, d.Remaining, problems.Seconds(d.Reset)))
	if d.Allowed {
		return nil
	}
	kind, _, _ := strings.Cut(subject, ":")
	l.refused.WithLabelValues(kind).Inc()
	return errRateLimited.RetryAfter(d.Reset)
}

// gated limits the requests that are answered before their sender is known: wrong credentials and unknown paths. They
// count for the client's address. An address that has used up its limit learns nothing more, not even whether a key is
// wrong. A client whose key was verified before is not delayed by other clients at the same address (see enter).
func (l *rates) gated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.applies(r) {
			w = &gate{ResponseWriter: w, rates: l, request: r}
		}
		next.ServeHTTP(w, r)
	})
}

// gate replaces an answer with 429 when the answer begins, if the request has not been rated and would exceed the
// limit. It does not replace a 5xx.
type gate struct {
	http.ResponseWriter
	rates   *rates
	request *http.Request
	begun   bool
	closed  bool // the answer was replaced
}

// Unwrap is for http.ResponseController.
func (g *gate) Unwrap() http.ResponseWriter { return g.ResponseWriter }

// WriteHeader begins the answer.
func (g *gate) WriteHeader(code int) {
	if !g.begun {
		g.begun = true
		x := exchangeOf(g.request.Context())
		if code < http.StatusInternalServerError && !x.rated {
			subject := g.rates.subject(g.request, x) // known if the principal lacked a permission
			if err := g.rates.rate(g.ResponseWriter, g.request, subject); err != nil {
				g.closed = true
				g.Header().Del("WWW-Authenticate")
				g.Header().Del("Allow")
				writeProblem(g.ResponseWriter, g.request, err)
			}
		}
	}
	if !g.closed {
		g.ResponseWriter.WriteHeader(code)
	}
}

// Write drops what belongs to an answer that was replaced.
func (g *gate) Write(b []byte) (int, error) {
	if !g.begun {
		g.WriteHeader(http.StatusOK)
	}
	if g.closed {
		return len(b), nil
	}
	return g.ResponseWriter.Write(b)
}
