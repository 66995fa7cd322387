package api

import (
	"net/http"
	"strings"
)

// apiPrefix is where everything is that costs something. Health checks and documents are never turned away.
const apiPrefix = "/api/"

// shed turns requests away while there are more than the process can answer soon: a queue would only make all of
// them late. It comes before anything that costs more than looking at the path. Event streams have their own limit.
func (s *Server) shed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, apiPrefix) {
			next.ServeHTTP(w, r)
			return
		}
		if err := s.flights.take(); err != nil {
			s.metrics.overload.Inc()
			writeProblem(w, r, err)
			return
		}
		x := exchangeOf(r.Context())
		defer func() {
			if !x.streaming { // a stream has left when it began
				s.flights.release(x.inFlight)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// occupy has a request count for its principal, once that is known.
func (s *Server) occupy(x *exchange) error {
	h := x.principal.share()
	if err := s.flights.charge(h); err != nil {
		return err
	}
	x.inFlight = h
	return nil
}
