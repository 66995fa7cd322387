package api

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
)

// operation is one operation of the API, whole: nothing about it is said elsewhere.
type operation struct {
	huma.Operation // Security follows from the permission

	// permission is what the caller needs. An operation without one cannot be registered.
	permission permission
	// action is what order_requests_total counts the requests as; empty: it does not count them.
	action string
	// errors are the operation's own: beside those that any request can end with (commonErrors).
	errors []*problems.Error
	// responses describes answers that Huma cannot see in the handler's types; nil: there are none.
	responses func(huma.Registry) map[string]*huma.Response
	// example is a body for the document; empty: the fields' examples will do.
	example string
	// unhealthy describes a 503 that has the body of a 200; empty: there is none.
	unhealthy string

	add func(huma.API, huma.Operation)
}

// declare gives an operation its handler, whose types are those of the request and the answer.
func declare[I, O any](o operation, handle func(context.Context, *I) (*O, error)) operation {
	o.add = func(api huma.API, op huma.Operation) {
		huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(ctx, in)
			if err != nil {
				return nil, problemOf(ctx, err)
			}
			return out, nil
		})
	}
	return o
}

// declaredAs is where Huma keeps the operation beside its own description of it.
const declaredAs = "operation"

// register adds the operation to an API. It panics if the operation does not say which callers it is for: a process
// with such an operation must not start.
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

// declared returns what an operation was declared as. An operation that was not declared has no permission, so it is
// closed to every caller.
func declared(op *huma.Operation) *operation {
	if o, ok := op.Metadata[declaredAs].(*operation); ok {
		return o
	}
	return new(operation)
}

// document completes what Huma has made of the operation in the document.
func (o *operation) document(op *huma.Operation) {
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
}
