package api

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

// errPanic is the cause of a 500 in the log.
var errPanic = errors.New("panic")

// maxBodyBytes is far above what a hundred items need.
const maxBodyBytes = 256 << 10

// requestID matches the ids that are taken over from a client. They go into the log and a header, and must not break
// them.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// identifying is the outermost middleware.
type identifying struct{ tracer *trace.Tracer }

// identified gives every request an id, the caller's if it matches requestID, and a scope, with the request's place in
// a trace. Probes come every few seconds, and have no span.
func (i identifying) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !requestID.MatchString(id) {
			id = uuid.NewString()
		}
		w.Header().Set("X-Request-Id", id)
		ctx, tracer, caller := r.Context(), i.tracer, trace.ParseTraceparent(r.Header.Get("Traceparent"))
		if strings.HasPrefix(r.URL.Path, "/health") {
			tracer = nil
		}
		ctx, span := tracer.Request(ctx, r.Method, caller)
		scope := trace.NewScope(orders.Origin{RequestID: id, Traceparent: caller})
		x := &exchange{requestID: id, scope: scope, span: span, writer: w}
		next.ServeHTTP(w, r.WithContext(withExchange(scope.Into(ctx), x)))
	})
}

// secured sets the headers that every answer has unless a handler changes them. The answers share the slices: Set
// replaces one, and Add copies it.
func secured(next http.Handler) http.Handler {
	header := http.Header{
		"X-Content-Type-Options":  {"nosniff"},
		"X-Frame-Options":         {"DENY"},
		"Referrer-Policy":         {"no-referrer"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"Cache-Control":           {"no-store"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		next.ServeHTTP(w, r)
	})
}

// parting closes connections once the process leaves. A balancer that keeps a connection open might otherwise send a
// request at the moment at which the server closes it.
func parting(leaving <-chan struct{}) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-leaving:
				w.Header().Set("Connection", "close")
			default:
			}
			next.ServeHTTP(w, r)
		})
	}
}

// accessLog is the log of all requests.
type accessLog struct {
	logger  *slog.Logger
	proxies []netip.Prefix
}

// logged writes one line per request.
func (l accessLog) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		exchangeOf(r.Context()).recorder = recorder
		defer l.write(r, recorder, time.Now())
		next.ServeHTTP(recorder, r)
	})
}

// write leaves out query strings, bodies and the subjects of OIDC tokens, because they contain personal data. It logs
// the address of refused requests only, because nothing else identifies their sender.
func (l accessLog) write(r *http.Request, recorder middleware.WrapResponseWriter, start time.Time) {
	ctx := r.Context()
	x := exchangeOf(ctx)
	x.span.Answered(r.Method, route(r), x.requestID, x.scope.Order(), status(recorder))
	at := level(x, status(recorder))
	if !l.logger.Enabled(ctx, at) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 16), // as many as a line has at most, mostly
		slog.String("method", r.Method), slog.String("route", route(r)), slog.String("operation", x.operation),
		slog.Int("status", status(recorder)), slog.Float64("duration_seconds", time.Since(start).Seconds()),
		slog.Int("bytes", recorder.BytesWritten()), slog.String("request_id", x.requestID),
	)
	attrs = append(attrs, x.principal.LogAttrs()...)
	if x.replayed {
		attrs = append(attrs, slog.Bool("replayed", true))
	}
	attrs = append(attrs, x.scope.Work()...)
	switch status(recorder) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		attrs = append(attrs, slog.String("remote_address", clientAddress(r, l.proxies)))
	}
	if x.cause != nil {
		attrs = append(attrs, slog.Any("error", x.cause))
	}
	if x.stack != nil {
		attrs = append(attrs, slog.String("stack", string(x.stack)))
	}
	// Not by the logger, which would look for the line of the source that no log has.
	line := slog.NewRecord(time.Now(), at, "request", 0)
	line.AddAttrs(attrs...)
	_ = l.logger.Handler().Handle(ctx, line)
}

// route returns the pattern that matched. Unlike the path it does not name an order.
func route(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil {
		return c.RoutePattern()
	}
	return ""
}

func level(x *exchange, status int) slog.Level {
	switch {
	case status == http.StatusServiceUnavailable:
		return slog.LevelWarn
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case x.isPublic():
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// status returns the status that was sent. A handler without one was cut off by its client or by http.ErrAbortHandler.
func status(recorder middleware.WrapResponseWriter) int {
	if code := recorder.Status(); code != 0 {
		return code
	}
	return problems.StatusClientGone
}

// recovered answers a panic with a problem.
func (m *metrics) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer m.rescue(r, exchangeOf(r.Context()).recorder)
		next.ServeHTTP(w, r)
	})
}

// rescue is deferred. It breaks off an answer that has begun, so that the answer does not look complete.
func (m *metrics) rescue(r *http.Request, recorder middleware.WrapResponseWriter) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares like this too
		panic(v)
	}
	m.panics.Inc()
	x := exchangeOf(r.Context())
	x.stack = debug.Stack()
	err := fmt.Errorf("%w: %v", errPanic, v)
	if recorder.Status() != 0 {
		x.cause = err
		panic(http.ErrAbortHandler)
	}
	writeProblem(recorder, r, err)
}

// limited refuses bodies whose Content-Length is too large, and cuts off bodies that turn out to be too large.
func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBodyBytes {
			writeProblem(w, r, errBodyTooLarge)
			return
		}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		}
		next.ServeHTTP(w, r)
	})
}
