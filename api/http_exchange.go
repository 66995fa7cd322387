package api

import (
	"context"
	"net/http"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/stream"
)

// exchange is what the middleware and the handlers tell each other about one request.
type exchange struct {
	requestID string
	operation string     // the operation's id; for other routes a word; empty if nothing matched
	declared  *operation // nil: the request is for no operation of the API
	principal Principal
	streaming bool                     // the answer is an event stream, or waits for one's end
	rated     bool                     // it was counted against a rate limit
	inFlight  stream.Holder            // whom it counts for while it is being answered
	control   *http.ResponseController // of the connection's deadlines
	cause     error                    // why the answer is a 5xx: for the log only
	stack     []byte                   // of a panic

	// stillAllowed says whether the principal would still be let in. nil: nobody was asked. It holds on to nothing of the
	// request but its credential.
	stillAllowed func(context.Context) error
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf never returns nil, so that what runs outside of a request needs no check.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return new(exchange)
}

// named gives a route that is no operation a name for the metrics and the log.
func named(name string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).operation = name
		h(w, r)
	})
}

// isPublic reports whether the operation takes requests without a credential, such as health checks.
func (x *exchange) isPublic() bool { return x.declared != nil && x.declared.permission == permitAnyone }

// errors are those that the operation declares.
func (x *exchange) errors() []*problems.Error {
	if x.declared == nil {
		return nil
	}
	return x.declared.errors
}
