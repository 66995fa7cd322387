package problems

import "net/http"

// StatusClientGone is what nginx logs when the client left before the answer. No client receives it.
const StatusClientGone = 499

// Class is the kind of a problem: what a client can do about it. The zero value is a failure of the server.
type Class int

// What went wrong, from the client's side to the server's.
const (
	Internal      Class = iota // a defect, or a failure without a name
	Malformed                  // a part of the request has the wrong form
	Unauthorized               // the credential is missing or not valid
	Forbidden                  // the caller is known and may not do this
	NotFound                   // it does not exist, or the caller must not know that it does
	WrongMethod                // the path does not have the method
	NotAcceptable              // the server cannot send any type that Accept allows
	TooSlow                    // the request took too long to arrive
	Conflict                   // the state of the resource rules the request out
	Gone                       // it existed, and will not come back
	Stale                      // a condition of the request does not hold
	TooLarge                   // the request is too large
	WrongMedia                 // the body has the wrong media type
	Misdirected                // the request was not meant for this server
	Invalid                    // the form is right and a value is not
	TooMany                    // the caller has used up its share
	Unavailable                // the same request may succeed later
	ClientGone                 // the client left; this is only logged
)

// status returns the HTTP status of a class. Statuses of errors are chosen here and nowhere else.
func (c Class) status() int {
	switch c {
	case Malformed:
		return http.StatusBadRequest
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case WrongMethod:
		return http.StatusMethodNotAllowed
	case NotAcceptable:
		return http.StatusNotAcceptable
	case TooSlow:
		return http.StatusRequestTimeout
	case Conflict:
		return http.StatusConflict
	case Gone:
		return http.StatusGone
	case Stale:
		return http.StatusPreconditionFailed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case WrongMedia:
		return http.StatusUnsupportedMediaType
	case Misdirected:
		return http.StatusMisdirectedRequest
	case Invalid:
		return http.StatusUnprocessableEntity
	case TooMany:
		return http.StatusTooManyRequests
	case Unavailable:
		return http.StatusServiceUnavailable
	case ClientGone:
		return StatusClientGone
	case Internal:
	}
	return http.StatusInternalServerError
}

// title is the status in words.
func (c Class) title() string {
	if c == ClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(c.status())
}
