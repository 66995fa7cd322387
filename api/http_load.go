package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/stream"
)

// Errors of requests that stay open.
var (
	errTooManyStreams = problems.New(problems.Unavailable, "too_many_streams",
		"Too many event streams are open. Try again soon.").RetryAfter(time.Second)
	errTooManyOwnStreams = problems.New(problems.TooMany, "too_many_streams",
		"You have too many event streams open. Close one, or follow more in one.").RetryAfter(5 * time.Second)
)

// apiPrefix is the path of all operations that cost something. Health checks and documents are never turned away.
const apiPrefix = "/api/"

// load is the requests that the process is busy with.
type load struct {
	flights *stream.Slots // requests being answered, without those that stay open
	staying *stream.Slots // answers that stay open: event streams, and requests that wait
	each    int           // open event streams of one principal; no limit below 0
	metrics *metrics
}

func newLoad(c Config, m *metrics) *load {
	return &load{
		flights: stream.NewSlots(c.MaxInFlight, errOverloaded, errTooManyOwnRequests),
		staying: stream.NewSlots(c.MaxStreams, errTooManyStreams, errTooManyOwnStreams),
		each:    c.MaxStreamsEach, metrics: m,
	}
}

// shed refuses requests while the process has more than it can answer soon: a queue would only delay all of them. It
// runs before anything that costs more than reading the path. Event streams have their own limit.
func (l *load) shed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, apiPrefix) {
			next.ServeHTTP(w, r)
			return
		}
		if err := l.flights.Take(); err != nil {
			l.metrics.overload.Inc()
			writeProblem(w, r, err)
			return
		}
		x := exchangeOf(r.Context())
		defer func() {
			if !x.streaming { // a stream has left when it began
				l.flights.Release(x.inFlight)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// occupy counts a request for its principal, once the principal is known.
func (l *load) occupy(x *exchange) error {
	h := x.principal.share()
	if err := l.flights.Charge(h); err != nil {
		return err
	}
	x.inFlight = h
	return nil
}

// stay turns the request into one that stays open: it counts as a stream from here on, and no longer as a request being
// answered.
func (l *load) stay(ctx context.Context, holders ...stream.Holder) (leave func(), err error) {
	if err := l.staying.Take(holders...); err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	x.streaming = true
	l.metrics.inFlight.Dec()
	l.flights.Release(x.inFlight)
	l.metrics.streams.Inc()
	return func() {
		l.staying.Release(holders...)
		l.metrics.streams.Dec()
	}, nil
}

// stayFollowing is for callers that follow events: they may have that many streams, and no more than their share.
func (l *load) stayFollowing(ctx context.Context) (leave func(), err error) {
	p := exchangeOf(ctx).principal
	return l.stay(ctx, p.share(), p.follower(l.each))
}
