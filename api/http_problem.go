package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Errors that a request to any operation can get. An operation declares its own errors itself.
var (
	errClientGone = problems.New(problems.ClientGone, "client_gone", "")
	errInternal   = problems.New(problems.Internal, "internal_error", "internal error")

	errBadRequest  = problems.New(problems.Malformed, "bad_request", "The request is not valid.")
	errInvalid     = problems.New(problems.Invalid, "validation_failed", "The request is not valid.")
	errSlowRequest = problems.New(problems.TooSlow, "request_timeout", "The body took too long to arrive.")
	errMediaType   = problems.New(problems.WrongMedia, "unsupported_media_type",
		"The body must be JSON, sent with Content-Type: application/json.")
	errBodyTooLarge = problems.New(problems.TooLarge, "body_too_large", "The body is too large.").
			Detailed("The body is larger than %d bytes.", maxBodyBytes)
	errNotAcceptable = problems.New(problems.NotAcceptable, "not_acceptable",
		"The server cannot send any of the media types in Accept.")

	errNoRoute  = problems.New(problems.NotFound, "not_found", "This path does not exist.")
	errMethod   = problems.New(problems.WrongMethod, "method_not_allowed", "This path does not support this method.")
	errArchived = problems.New(problems.Gone, "order_archived",
		"The order was finished long ago and has left the database. The operator has it in a file.").For(orders.ErrArchived)
	errNotFound = problems.New(problems.NotFound, "order_not_found", "The order does not exist.").For(orders.ErrNotFound)

	errUnauthorized = problems.New(problems.Unauthorized, "unauthorized", "A valid bearer token is required.").
			Header("WWW-Authenticate", "Bearer").For(auth.ErrUnauthorized)
	errForbidden = problems.New(problems.Forbidden, "forbidden", "The caller may not do this.")
	errNotLocal  = problems.New(problems.Misdirected, "not_local", "This server needs no credentials, so it only "+
		"answers requests from this machine, under its own name and without a proxy. Set a token or make a key.").
		For(auth.ErrNotLocal)
	errCrossOrigin = problems.New(problems.Forbidden, "cross_origin",
		"A page of another site sent this request. Add the site to --allowed-origins to allow it.")

	errRateLimited = problems.New(problems.TooMany, "rate_limited",
		"Too many requests. Retry-After has the number of seconds to wait.")
	errOverloaded = problems.New(problems.Unavailable, "overloaded",
		"Too many requests are being answered. Try again soon.").RetryAfter(time.Second)
	errTooManyOwnRequests = problems.New(problems.TooMany, "too_many_in_flight",
		"You have too many requests in flight. Wait for an answer.").RetryAfter(time.Second)

	errUnavailable = problems.New(problems.Unavailable, "unavailable",
		"The database cannot be reached. Try again soon.").RetryAfter(time.Second).For(store.ErrUnavailable)
	errNoIssuer = problems.New(problems.Unavailable, "unavailable",
		"The identity provider cannot be reached. Try again soon.").RetryAfter(time.Second).For(auth.ErrNoIssuer)
)

// commonErrors returns the errors of the HTTP layer.
func commonErrors() []*problems.Error {
	return []*problems.Error{
		errInternal, errBadRequest, errInvalid, errSlowRequest, errMediaType, errBodyTooLarge, errNotAcceptable,
		errNoRoute, errMethod, errArchived, errNotFound, errUnauthorized, errForbidden, errNotLocal, errCrossOrigin,
		errRateLimited, errOverloaded, errTooManyOwnRequests, errUnavailable, errNoIssuer,
	}
}

// badInput returns the error for a malformed header, cursor or query that a schema cannot reject.
func badInput(location, message string) error {
	return errBadRequest.With(problems.ProblemError{Location: location, Message: message})
}

// badField returns the error for a well-formed but invalid value that a schema cannot reject.
func badField(location, message string) error {
	return errInvalid.With(problems.ProblemError{Location: location, Message: message})
}

// uncertainError is the failure of a write that may have happened nevertheless. advice tells the caller what to do.
type uncertainError struct {
	advice string
	err    error
}

func (e *uncertainError) Error() string { return e.err.Error() }
func (e *uncertainError) Unwrap() error { return e.err }

// problemOf turns any error into the problem that the client sees. The cause of a 5xx goes to the log only.
func problemOf(ctx context.Context, err error) *problems.Problem {
	x := exchangeOf(ctx)
	p := choose(ctx, err).Problem(x.requestID)
	if p.Status >= http.StatusInternalServerError {
		x.cause = err
	}
	return p
}

// choose returns the problem that an error carries or is declared as.
func choose(ctx context.Context, err error) *problems.Error {
	// This comes first, because a cancelled database call also looks like an outage.
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errClientGone
	}
	if invalid, ok := errors.AsType[*orders.InvalidError](err); ok {
		return errInvalid.With(bodyErrors(invalid)...)
	}
	found := problems.Find(err, slices.Concat(exchangeOf(ctx).errors(), commonErrors())...)
	uncertain, ok := errors.AsType[*uncertainError](err)
	switch {
	case found == nil:
		return errInternal
	case ok && found == errUnavailable:
		return found.Detailed("The database cannot be reached. %s", uncertain.advice)
	}
	return found
}

func bodyErrors(e *orders.InvalidError) []problems.ProblemError {
	list := make([]problems.ProblemError, len(e.Fields))
	for i, f := range e.Fields {
		list[i] = problems.ProblemError{Location: "body." + f.Field, Message: f.Message}
	}
	return list
}

// frameworkProblem is Huma's hook for the errors that Huma finds itself: parsing, validation, reading the body.
func frameworkProblem(hctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
	x := new(exchange)
	if hctx != nil {
		x = exchangeOf(hctx.Context())
	}
	chosen := chooseFramework(status, errors.Join(errs...))
	if chosen.Class == problems.Internal {
		x.cause = errors.Join(errs...)
		return chosen.Problem(x.requestID)
	}
	return chosen.With(frameworkErrors(errs)...).Problem(x.requestID)
}

// chooseFramework returns the problem for a status that Huma has chosen.
func chooseFramework(status int, err error) *problems.Error {
	var tooLarge *http.MaxBytesError
	var input *huma.ErrorDetail
	switch {
	case errors.As(err, &tooLarge), status == http.StatusRequestEntityTooLarge:
		return errBodyTooLarge
	case status == http.StatusBadRequest:
		return errBadRequest.Detailed("The body is missing or is not JSON.")
	case status == http.StatusRequestTimeout:
		return errSlowRequest
	case status == http.StatusUnsupportedMediaType:
		return errMediaType
	case status == http.StatusUnprocessableEntity:
		return errInvalid
	case status == http.StatusInternalServerError && err != nil && !errors.As(err, &input):
		// Huma's only own 500: the connection failed, or the client left, in the middle of the body.
		return errBadRequest.Detailed("The body did not arrive completely.")
	default:
		return errInternal
	}
}

// frameworkErrors copies the places and messages of Huma's errors, but not the values, which may be secrets.
func frameworkErrors(errs []error) []problems.ProblemError {
	var list []problems.ProblemError
	for _, err := range errs {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			list = append(list, problems.ProblemError{
				Location: problems.Truncate(detail.Location), Message: problems.Truncate(detail.Message),
			})
		}
	}
	return list
}

// writeProblem answers with a problem outside of Huma.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType("application/json"))
	w.WriteHeader(p.Status)
	if body, err := json.Marshal(p); err == nil {
		_, _ = w.Write(append(body, '\n'))
	}
}
