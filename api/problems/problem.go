// Package problems is the model of the errors that a client sees: RFC 9457 with a code for programs.
//
// An error of the API carries its problem: a class, a code and a text. Only this package chooses the status of a class.
package problems

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Bounds on what a problem repeats from the request, which may be one long list of mistakes.
const (
	maxErrors = 20
	maxText   = 200 // bytes
)

// Problem is the body of every error: RFC 9457 with a code for programs and the request's id for readers of the log.
//
//nolint:errname // the name that RFC 9457 gives it, and so the schema
type Problem struct {
	Type      string         `json:"type" format:"uri-reference" example:"about:blank" doc:"Always about:blank. The code identifies the problem"`
	Title     string         `json:"title" example:"Unprocessable Entity" doc:"The status in words"`
	Status    int            `json:"status" example:"422" doc:"The HTTP status"`
	Detail    string         `json:"detail,omitempty" example:"The request is not valid." doc:"What went wrong, for people"`
	Code      string         `json:"code" example:"validation_failed" doc:"What went wrong, for programs. The meaning of a code never changes"`
	RequestID string         `json:"requestId" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e" doc:"The id of the request, as in the header X-Request-Id and in the server's log"`
	Errors    []ProblemError `json:"errors,omitempty" doc:"Each wrong field or parameter"`

	headers http.Header
}

// TransformSchema gives the document a problem whose code has this status.
func (Problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{Problem{
		Type: "about:blank", Title: Invalid.title(), Status: Invalid.status(), Detail: "The request is not valid.",
		Code: "validation_failed", RequestID: "0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e",
		Errors: []ProblemError{{Location: "body.items[0].price", Message: "must have at most 2 decimals in USD"}},
	}}
	return s
}

// ProblemError is one wrong field or parameter.
type ProblemError struct {
	Location string `json:"location" example:"body.items[0].price" doc:"The place of the mistake: body, query, path or header, then the path to the field"`
	Message  string `json:"message" example:"must have at most 2 decimals in USD" doc:"What is wrong there"`
}

// Error makes a problem an error that a handler can return.
func (p *Problem) Error() string { return p.Code }

// GetStatus tells Huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders tells Huma the headers that belong to the problem.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType tells Huma the media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var _ huma.StatusError = (*Problem)(nil)

// Truncate bounds a text from the request.
func Truncate(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + "…"
}
