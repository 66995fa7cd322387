package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
)

// operation is one operation of the API. It is complete: no other place has anything about the operation.
type operation struct {
	huma.Operation // Security follows from the permission

	// permission is the permission that the caller needs. An operation without one cannot be registered.
	permission permission
	// action is the label under which order_requests_total counts the requests. If it is empty, they are not counted.
	action string
	// errors are the operation's own errors, in addition to those that any request can get (commonErrors).
	errors []*problems.Error
	// responses describes answers that Huma cannot derive from the handler's types. May be nil.
	responses func(huma.Registry) map[string]*huma.Response
	// example is a request's body for the document. If it is empty, the document has the examples of the fields.
	example string
	// answer is an answer's body for the document. If it is nil, the document has the example of the body's type.
	answer any
	// unhealthy describes a 503 with the body of a 200. Empty if there is no such answer.
	unhealthy string

	add func(huma.API, huma.Operation)
	// takes is what strict compares requests with. Without it no request is answered.
	takes *accepted
}

// accepted is what the document says about an operation's requests, at hand.
type accepted struct {
	headers []string // that are parameters, and Authorization
	media   []string // of the successful answers
}

// declare gives an operation its handler. The handler's types describe the request and the answer.
func declare[I, O any](o operation, handle func(context.Context, *I) (*O, error)) operation {
	o.add = func(api huma.API, op huma.Operation) {
		huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(ctx, in)
			if err != nil {
				return nil, problemOf(ctx, err)
			}
			if o.Method != http.MethodGet {
				exchangeOf(ctx).tellWritten(ctx)
			}
			return out, nil
		})
	}
	return o
}

// declaredAs is the key under which Huma's description of an operation keeps the operation.
const declaredAs = "operation"

// register adds the operation to an API. It panics if the operation has no permission: a process with such an operation
// must not start.
func (o operation) register(api huma.API) {
	if o.permission.roles() == nil {
		panic("operation " + o.OperationID + " has no permission")
	}
	o.Security = bearer()
	if o.permission == permitAnyone {
		o.Security = []map[string][]string{}
	}
	if o.responses != nil {
		o.Responses = o.responses(api.OpenAPI().Components.Schemas)
	}
	o.Metadata = map[string]any{declaredAs: &o}
	o.add(api, o.Operation)
}

// declared returns the operation that Huma's description belongs to. An operation that was not declared has no
// permission, so it is closed to every caller.
func declared(op *huma.Operation) *operation {
	if o, ok := op.Metadata[declaredAs].(*operation); ok {
		return o
	}
	return new(operation)
}

// document completes Huma's description of the operation in the document.
func (o *operation) document(op *huma.Operation) {
	o.takes = &accepted{headers: append(headersOf(op), "Authorization"), media: mediaTypes(op)}
	if o.permission != permitAnyone {
		if op.Extensions == nil {
			op.Extensions = map[string]any{}
		}
		op.Extensions["x-roles"] = o.permission.roles()
	}
	if o.unhealthy != "" {
		op.Responses["503"] = &huma.Response{Description: o.unhealthy, Content: op.Responses["200"].Content}
	}
	if o.example != "" {
		op.RequestBody.Content[mediaJSON].Example = json.RawMessage(o.example)
	}
	if o.answer != nil {
		op.Responses[strconv.Itoa(o.DefaultStatus)].Content[mediaJSON].Example = o.answer
	}
}
