package api

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// apiPrefix is where everything is that costs something. Health checks and documents are never turned away.
const apiPrefix = "/api/"

// flights counts the requests being answered, without event streams: those have a limit of their own.
type flights struct{ n atomic.Int64 }

// enter counts a request in, unless there are too many.
func (f *flights) enter(limit int) bool {
	if f.n.Add(1) <= int64(limit) {
		return true
	}
	f.n.Add(-1)
	return false
}

func (f *flights) leave() { f.n.Add(-1) }

// shed turns requests away while there are more than the process can answer soon: a queue would only make all of
// them late. It comes before anything that costs more than looking at the path.
func (s *Server) shed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, apiPrefix) {
			next.ServeHTTP(w, r)
			return
		}
		if !s.flights.enter(s.config.MaxInFlight) {
			s.metrics.overload.Inc()
			writeProblem(w, r, errOverloaded)
			return
		}
		x := exchangeOf(r.Context())
		defer func() {
			if !x.streaming { // a stream has left when it began
				s.flights.leave()
			}
		}()
		next.ServeHTTP(w, r)
	})
}
