package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// This file is the only place that chooses a status for an error.

// statusClientGone is what nginx logs when the client left before the answer. Nobody receives it.
const statusClientGone = 499

// Sentinels of the API's own.
var (
	errNotAcceptable      = errors.New("nothing that Accept allows can be sent")
	errTooManyStreams     = errors.New("too many open streams")
	errTooManyOwnStreams  = errors.New("too many open streams of one principal")
	errOverloaded         = errors.New("too many requests in flight")
	errTooManyOwnRequests = errors.New("too many requests in flight of one principal")
	errCrossOrigin        = errors.New("request of another site")
	errMediaType          = errors.New("the body is not declared as JSON")
	errTooManyExports     = errors.New("too many exports")
	errTooManyOwnExports  = errors.New("too many exports of one principal")

	errVersionNotReached = errors.New("order has not reached the version")
	errNoRoute           = errors.New("no such route")
	errMethod            = errors.New("method not allowed")
	errBodyTooLarge      = errors.New("body too large")
	errPanic             = errors.New("panic")
)

// inputError is something wrong with a header, a cursor or the query that no schema can say.
type inputError struct{ location, message string }

func (e *inputError) Error() string { return e.location + " " + e.message }

// fieldError is something wrong with a value in the right form that no schema can say.
type fieldError struct{ location, message string }

func (e *fieldError) Error() string { return e.location + " " + e.message }

// conflictError says that the order's status rules out what was asked.
type conflictError struct{ code, detail string }

func (e *conflictError) Error() string { return e.code }

// forbiddenError is what somebody who is known may not do.
type forbiddenError struct{ detail string }

func (e *forbiddenError) Error() string { return "forbidden: " + e.detail }

// uncertainError is the failure of a write that may have happened all the same; advice says what to do.
type uncertainError struct {
	advice string
	err    error
}

func (e *uncertainError) Error() string { return e.err.Error() }
func (e *uncertainError) Unwrap() error { return e.err }

// problemOf turns any error into what the client may know of it. The cause of a 5xx goes to the log only.
func problemOf(ctx context.Context, err error) *Problem {
	x := exchangeOf(ctx)
	p := choose(ctx, err)
	p.RequestID = x.requestID
	if p.Status >= http.StatusInternalServerError {
		x.cause = err
	}
	return p
}

func choose(ctx context.Context, err error) *Problem {
	var input *inputError
	var field *fieldError
	var invalid *orders.InvalidError
	var conflict *conflictError
	var forbidden *forbiddenError
	var limited *limitError
	switch {
	// First of all: a database call that was cancelled also looks like an outage.
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return newProblem(statusClientGone, "client_gone", "")
	case errors.Is(err, orders.ErrNotFound):
		return newProblem(http.StatusNotFound, "order_not_found", "There is no such order.")
	case errors.Is(err, orders.ErrProductNotFound):
		return newProblem(http.StatusNotFound, "product_not_found", "The inventory has no such product.")
	case errors.Is(err, store.ErrWebhookNotFound):
		return newProblem(http.StatusNotFound, "webhook_not_found", "There is no such webhook.")
	case errors.Is(err, store.ErrDeliveryNotFound):
		return newProblem(http.StatusNotFound, "delivery_not_found", "There is no such delivery, or not any more.")
	case errors.Is(err, store.ErrTooManyWebhooks):
		return newProblem(http.StatusConflict, "too_many_webhooks",
			fmt.Sprintf("There are %d webhooks already. Delete one first.", store.MaxWebhooks))
	case errors.Is(err, store.ErrWebhookDisabled):
		return newProblem(http.StatusConflict, "webhook_disabled", "The webhook is disabled. Enable it first.")
	case errors.Is(err, store.ErrRotating):
		return newProblem(http.StatusConflict, "secret_rotating",
			"The secret before the current one is still good. Wait, or end it with previousValidSeconds 0.")
	case errors.As(err, &invalid):
		return newProblem(http.StatusUnprocessableEntity, "validation_failed", "The request is not valid.").
			with(bodyErrors(invalid)...)
	case errors.As(err, &field):
		return newProblem(http.StatusUnprocessableEntity, "validation_failed", "The request is not valid.").
			with(ProblemError{field.location, field.message})
	case errors.As(err, &input):
		return newProblem(http.StatusBadRequest, "bad_request", "The request is not valid.").
			with(ProblemError{input.location, input.message})
	case errors.Is(err, orders.ErrIdempotencyMismatch):
		return newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused",
			"This Idempotency-Key was used before, with another request. Use a new key for a new request.")
	case errors.As(err, &conflict):
		return newProblem(http.StatusConflict, conflict.code, conflict.detail)
	case errors.Is(err, orders.ErrTooManyRefunds):
		return newProblem(http.StatusConflict, "too_many_refunds",
			fmt.Sprintf("An order is refunded in at most %d parts.", orders.MaxRefunds))
	case errors.Is(err, orders.ErrTooManyTries):
		return newProblem(http.StatusConflict, "too_many_tries",
			fmt.Sprintf("After %d steps nothing is tried again. Accept an outcome, or compensate.", orders.MaxSteps))
	case errors.Is(err, orders.ErrVersionConflict):
		return newProblem(http.StatusPreconditionFailed, "order_changed",
			"The order has changed since the version that If-Match names. Read it again.")
	case errors.Is(err, errVersionNotReached):
		return newProblem(http.StatusPreconditionFailed, "version_not_reached",
			"The order has not had the version that Minimum-Version names.").
			with(ProblemError{"header.Minimum-Version", "must be a version that the order has had"})
	case errors.Is(err, store.ErrUnavailable):
		return unavailable(err)
	case errors.Is(err, errTooManyStreams):
		return newProblem(http.StatusServiceUnavailable, "too_many_streams",
			"Too many event streams are open. Try again soon.").header("Retry-After", "1")
	case errors.Is(err, errTooManyOwnStreams):
		return newProblem(http.StatusTooManyRequests, "too_many_streams",
			"You have too many event streams open. Close one, or follow more in one.").header("Retry-After", "5")
	case errors.Is(err, store.ErrCursorExpired):
		return newProblem(http.StatusGone, "cursor_expired", "The events after this cursor are no longer kept. Ask with "+
			"after=end, read the orders again, and go on from the next of that answer.").
			with(ProblemError{"query.after", "must be a cursor that has not expired"})
	case errors.Is(err, errTooManyExports):
		return newProblem(http.StatusServiceUnavailable, "too_many_exports",
			"Too many exports are under way. Try again later.").header("Retry-After", "5")
	case errors.Is(err, errTooManyOwnExports):
		return newProblem(http.StatusTooManyRequests, "too_many_exports",
			"You have too many exports under way. Wait for one to end.").header("Retry-After", "5")
	case errors.Is(err, errTooManyOwnRequests):
		return newProblem(http.StatusTooManyRequests, "too_many_in_flight",
			"You have too many requests under way. Wait for one to be answered.").header("Retry-After", "1")
	case errors.Is(err, store.ErrTooManyTickets):
		return newProblem(http.StatusTooManyRequests, "too_many_tickets",
			"You have too many tickets that have not expired. They do within a minute.").header("Retry-After", "10")
	case errors.Is(err, auth.ErrNoIssuer):
		return newProblem(http.StatusServiceUnavailable, "unavailable",
			"The identity provider cannot be reached. Try again soon.").header("Retry-After", "1")
	case errors.Is(err, errOverloaded):
		return newProblem(http.StatusServiceUnavailable, "overloaded",
			"Too many requests are being answered. Try again soon.").header("Retry-After", "1")
	case errors.As(err, &limited):
		return newProblem(http.StatusTooManyRequests, "rate_limited",
			"Too many requests. Try again after the seconds in Retry-After.").header("Retry-After", seconds(limited.after))
	case errors.Is(err, auth.ErrUnauthorized):
		return newProblem(http.StatusUnauthorized, "unauthorized", "A valid bearer token is needed.").
			header("WWW-Authenticate", "Bearer")
	case errors.As(err, &forbidden):
		return newProblem(http.StatusForbidden, "forbidden", forbidden.detail)
	case errors.Is(err, auth.ErrNotLocal):
		return newProblem(http.StatusMisdirectedRequest, "not_local", "This server asks for no credentials, so it answers "+
			"this machine only, by its own name and without a proxy. Set a token or make a key.")
	case errors.Is(err, errCrossOrigin):
		return newProblem(http.StatusForbidden, "cross_origin",
			"A page of another site sent this request. --allowed-origins has the sites that may.")
	case errors.Is(err, errMediaType):
		return unsupportedMediaType()
	case errors.Is(err, errNotAcceptable):
		return newProblem(http.StatusNotAcceptable, "not_acceptable", "Nothing that Accept allows can be sent.")
	case errors.Is(err, errNoRoute):
		return newProblem(http.StatusNotFound, "not_found", "There is nothing at this path.")
	case errors.Is(err, errMethod):
		return newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not have that method.")
	case errors.Is(err, errBodyTooLarge):
		return bodyTooLarge()
	default:
		return newProblem(http.StatusInternalServerError, "internal_error", "internal error")
	}
}

func unavailable(err error) *Problem {
	detail := "The database cannot be reached. Try again soon."
	if uncertain, ok := errors.AsType[*uncertainError](err); ok {
		detail = "The database cannot be reached. " + uncertain.advice
	}
	return newProblem(http.StatusServiceUnavailable, "unavailable", detail).header("Retry-After", "1")
}

func unsupportedMediaType() *Problem {
	return newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"The body must be JSON, sent with Content-Type: application/json.")
}

func bodyTooLarge() *Problem {
	return newProblem(http.StatusRequestEntityTooLarge, "body_too_large",
		fmt.Sprintf("The body is larger than %d bytes.", maxBodyBytes))
}

func bodyErrors(e *orders.InvalidError) []ProblemError {
	list := make([]ProblemError, len(e.Fields))
	for i, f := range e.Fields {
		list[i] = ProblemError{"body." + f.Field, f.Message}
	}
	return list
}

// frameworkProblem is Huma's hook for the errors that it finds itself: parsing, validation, reading the body.
func frameworkProblem(hctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
	x := new(exchange)
	if hctx != nil {
		x = exchangeOf(hctx.Context())
	}
	p := chooseFramework(status, errors.Join(errs...))
	if p.Status >= http.StatusInternalServerError {
		x.cause = errors.Join(errs...)
	} else {
		p = p.with(frameworkErrors(errs)...)
	}
	p.RequestID = x.requestID
	return p
}

func chooseFramework(status int, err error) *Problem {
	var tooLarge *http.MaxBytesError
	var input *huma.ErrorDetail
	switch {
	case errors.As(err, &tooLarge), status == http.StatusRequestEntityTooLarge:
		return bodyTooLarge()
	case status == http.StatusBadRequest:
		return newProblem(status, "bad_request", "The body is missing or is not JSON.")
	case status == http.StatusRequestTimeout:
		return newProblem(status, "request_timeout", "The body took too long to arrive.")
	case status == http.StatusUnsupportedMediaType:
		return unsupportedMediaType()
	case status == http.StatusUnprocessableEntity:
		return newProblem(status, "validation_failed", "The request is not valid.")
	case status == http.StatusInternalServerError && err != nil && !errors.As(err, &input):
		// The only 500 of Huma's own: the connection failed, or the client broke off, in the middle of the body.
		return newProblem(http.StatusBadRequest, "bad_request", "The body could not be read to its end.")
	default:
		return newProblem(http.StatusInternalServerError, "internal_error", "internal error")
	}
}

// writeProblem answers where Huma does not.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(r.Context(), err)
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", p.ContentType("application/json"))
	w.WriteHeader(p.Status)
	if body, err := json.Marshal(p); err == nil {
		_, _ = w.Write(append(body, '\n'))
	}
}
