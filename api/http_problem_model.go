package api

import (
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Bounds on what a problem repeats of a request, which may be a body of nothing but mistakes.
const (
	maxProblemErrors = 20
	maxProblemText   = 200 // bytes
)

// Problem is the body of every error: RFC 9457 with a code for programs and the request's id for whoever reads logs.
//
//nolint:errname // the name that RFC 9457 gives it, and so the schema
type Problem struct {
	Type      string         `json:"type" format:"uri-reference" example:"about:blank" doc:"Always about:blank: the code says which problem it is"`
	Title     string         `json:"title" example:"Unprocessable Entity" doc:"The status in words"`
	Status    int            `json:"status" example:"422" doc:"The HTTP status"`
	Detail    string         `json:"detail,omitempty" example:"The request is not valid." doc:"What went wrong, for people"`
	Code      string         `json:"code" example:"validation_failed" doc:"What went wrong, for programs: it never changes"`
	RequestID string         `json:"requestId" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The id of the request, as in X-Request-Id and in the server's log"`
	Errors    []ProblemError `json:"errors,omitempty" doc:"Each wrong field or parameter"`

	headers http.Header
}

// ProblemError is one wrong field or parameter.
type ProblemError struct {
	Location string `json:"location" example:"body.items[0].price" doc:"Where it is: body, query, path or header, then the path to it"`
	Message  string `json:"message" example:"must have at most 2 decimals in USD" doc:"What is wrong with it"`
}

func newProblem(status int, code, detail string) *Problem {
	title := http.StatusText(status)
	if status == statusClientGone {
		title = "Client Closed Request"
	}
	return &Problem{Type: "about:blank", Title: title, Status: status, Detail: detail, Code: code}
}

func (p *Problem) with(errs ...ProblemError) *Problem {
	p.Errors = append(p.Errors, errs[:min(len(errs), maxProblemErrors)]...)
	return p
}

func (p *Problem) header(name, value string) *Problem {
	p.headers = http.Header{http.CanonicalHeaderKey(name): {value}}
	return p
}

// Error makes a problem an error that a handler can return.
func (p *Problem) Error() string { return p.Code }

// GetStatus tells Huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders tells Huma the headers that belong to the problem.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType tells Huma the media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// frameworkErrors takes over what Huma found wrong where, but never the values it would echo: they may be secrets.
func frameworkErrors(errs []error) []ProblemError {
	var list []ProblemError
	for _, err := range errs[:min(len(errs), maxProblemErrors)] {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			list = append(list, ProblemError{truncate(detail.Location), truncate(detail.Message)})
		}
	}
	return list
}

func truncate(s string) string {
	if len(s) <= maxProblemText {
		return s
	}
	return s[:maxProblemText] + "…"
}
