package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/stream"
	"github.com/millrace-orders/millrace/trace"
)

// exchange is the state that the middleware and the handlers share about one request.
type exchange struct {
	requestID string
	scope     *trace.Scope // nil outside of a request
	span      trace.Span   // of the request
	operation string       // the operation's id, or the name of a different route; empty if nothing matched
	declared  *operation   // nil if the request is not for an operation of the API
	principal Principal
	actor     store.Actor                   // the principal, for the audit log
	streaming bool                          // the answer is an event stream, or waits for an event
	replayed  bool                          // the answer is that of an earlier request under the same idempotency key
	stopped   bool                          // the request is refused because an operator stopped the intake
	rated     bool                          // the request was counted against a rate limit
	inFlight  stream.Holder                 // the share that the request occupies while it is being answered
	writer    http.ResponseWriter           // of the connection; nil outside of a request
	recorder  middleware.WrapResponseWriter // of the answer's status and size
	cause     error                         // the cause of a 5xx, for the log only
	stack     []byte                        // of a panic
	replicas  *store.Replicas               // nil: none, and the caller gets no position
	header    http.Header                   // of the answer; nil without replicas

	// stillAllowed returns an error unless the principal would still be accepted. It is nil if no credential was needed.
	// It keeps only the credential of the request.
	stillAllowed func(context.Context) error
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf returns the exchange of a context. It never returns nil, so that code outside of a request needs no check.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return new(exchange)
}

// named gives a route that is not an operation a name for the metrics and the log.
func named(name string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).operation = name
		h(w, r)
	})
}

// isPublic reports whether the operation takes requests without a credential, such as health checks.
func (x *exchange) isPublic() bool { return x.declared != nil && x.declared.permission == permitAnyone }

// errors returns the errors that the operation declares.
func (x *exchange) errors() []*problems.Error {
	if x.declared == nil {
		return nil
	}
	return x.declared.errors
}

// allow extends the server's deadlines, which are meant for requests that are answered at once.
func (x *exchange) allow(patience time.Duration) error {
	if x.writer == nil {
		return nil
	}
	return stream.Prolong(http.NewResponseController(x.writer), time.Now().Add(patience+defaultSlowReader))
}
