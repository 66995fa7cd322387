package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/limit"
)

// rated limits the requests whose sender is known by now. It comes after authorized.
func (s *Server) rated(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	x := exchangeOf(r.Context())
	if s.limits(r) {
		if err := s.rate(w, r, s.subject(r, x)); err != nil {
			writeProblem(w, r, err)
			return
		}
	}
	next(hctx)
}

func (s *Server) limits(r *http.Request) bool {
	return s.config.Limiter != nil && strings.HasPrefix(r.URL.Path, apiPrefix)
}

// subject is whose request it is: the principal's, or if nobody was asked for a credential, the client address's.
func (s *Server) subject(r *http.Request, x *exchange) string {
	if x.principal.Known() {
		return "principal:" + x.principal.Name
	}
	return s.addressOf(r)
}

func (s *Server) addressOf(r *http.Request) string {
	return "address:" + client(r, s.config.TrustedProxies).String()
}

// limit is how many requests a sender may send in a window: by its role, if that has a limit of its own and the sender
// proved to have it. 0 is any number.
func (s *Server) limit(p Principal) int {
	if own, ok := s.config.RateLimits[p.Role]; ok && p.Known() {
		return own
	}
	return s.config.RateLimit
}

// rate counts a request of a subject and sets the fields of draft-ietf-httpapi-ratelimit-headers, which an answer
// without a limit does not have.
func (s *Server) rate(w http.ResponseWriter, r *http.Request, subject string) error {
	x := exchangeOf(r.Context())
	x.rated = true
	most := s.limit(x.principal)
	if most == 0 {
		return nil
	}
	return s.decide(w, subject, most, s.config.Limiter.Allow(subject, most))
}

// reserve takes room for one request of the client's address, before it is known whether the request counts for it.
func (s *Server) reserve(w http.ResponseWriter, r *http.Request) (release func(), err error) {
	most, address := s.limit(Principal{}), s.addressOf(r)
	if most == 0 {
		return func() {}, nil
	}
	d, release := s.config.Limiter.Reserve(address, most)
	if d.Allowed {
		return release, nil
	}
	exchangeOf(r.Context()).rated = true
	return nil, s.decide(w, address, most, d)
}

// decide tells the client what the limiter decided.
func (s *Server) decide(w http.ResponseWriter, subject string, most int, d limit.Decision) error {
	window := problems.Seconds(s.config.Limiter.Window())
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%s`, most, window))
	w.Header().Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%s`, d.Remaining, problems.Seconds(d.Reset)))
	if d.Allowed {
		return nil
	}
	kind, _, _ := strings.Cut(subject, ":")
	s.metrics.limited.WithLabelValues(kind).Inc()
	return errRateLimited.RetryAfter(d.Reset)
}

// gated limits what is answered before its sender is known: wrong credentials, paths that there are not. That counts
// for the client's address. An address that has used up its limit learns nothing more, not even whether a key is
// wrong. A client whose key was right before is not held up by others behind the same address (see enter).
func (s *Server) gated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.limits(r) {
			w = &gate{ResponseWriter: w, server: s, request: r}
		}
		next.ServeHTTP(w, r)
	})
}

// gate replaces an answer by a 429 when it begins, if it has not been rated and would exceed the limit. A failure of
// ours is left as it is.
type gate struct {
	http.ResponseWriter
	server  *Server
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
			subject := g.server.subject(g.request, x) // known if it was refused for what it may not do
			if err := g.server.rate(g.ResponseWriter, g.request, subject); err != nil {
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

// ipv6Network is what one subscriber gets, and so who can be told apart.
const ipv6Network = 64

// client is the network that a request came from: an IPv4 address, or the first half of an IPv6 address.
//
// It is the other end of the connection. Only if that is a trusted proxy, X-Forwarded-For counts, from its right end:
// each proxy appends whom it heard from, so the first one that is not trusted is the client, and whatever stands left
// of it is the client's own claim. No other header counts.
func client(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	return network(clientAddr(r, trusted))
}

// clientAddress is the same client's whole address, for the log; empty if there is none.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	if address := clientAddr(r, trusted); address.IsValid() {
		return address.String()
	}
	return ""
}

func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // a listener that is not TCP
	}
	address := peer.Addr().Unmap().WithZone("")
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for isTrusted(address, trusted) && rest != "" {
		i := strings.LastIndexByte(rest, ',')
		hop, ok := parseHop(rest[i+1:])
		if !ok {
			break // the last one that is known answers for it
		}
		address, rest = hop, rest[:max(i, 0)]
	}
	return address
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// parseHop reads an address, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.TrimSpace(s)
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}

func network(address netip.Addr) netip.Prefix {
	if !address.IsValid() {
		return netip.Prefix{}
	}
	bits := address.BitLen()
	if address.Is6() {
		bits = ipv6Network
	}
	p, _ := address.Prefix(bits) // bits fit
	return p
}
