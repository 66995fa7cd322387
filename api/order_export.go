package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	exportPage  = 500      // orders read at a time
	exportChunk = 64 << 10 // bytes written at a time, each with a deadline of its own
	// maxExports bounds what exports take of the memory and the database: each holds one page.
	maxExports = 8
)

// Errors of exports.
var (
	errTooManyExports = problems.New(problems.Unavailable, "too_many_exports",
		"Too many exports are under way. Try again later.").RetryAfter(5 * time.Second)
	errTooManyOwnExports = problems.New(problems.TooMany, "too_many_exports",
		"You have too many exports under way. Wait for one to end.").RetryAfter(5 * time.Second)
)

type exportInput struct {
	After      orderID     `query:"after" doc:"Only orders placed after this one: the last one of the export before"`
	CustomerID string      `query:"customerId" maxLength:"200" example:"1" doc:"Only this customer's orders"`
	Status     OrderStatus `query:"status" example:"completed" doc:"Only orders with this status"`
	From       time.Time   `query:"from" example:"2026-11-01T00:00:00Z" doc:"Only orders placed at this moment or later"`
	To         time.Time   `query:"to" example:"2026-12-01T00:00:00Z" doc:"Only orders placed before this moment"`
}

// exportEnd is the last line of an export that there is more of.
type exportEnd struct {
	NextAfter orders.ID `json:"nextAfter"`
}

func (s *Server) exportOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "exportOrders", Method: http.MethodGet, Path: "/api/orders/export", Tags: []string{tagOrders},
			Summary: "Export orders",
			Description: "All orders that the filters select, oldest first, one JSON object a line (NDJSON), however many " +
				"there are. Each is as it stands when it is read. An export that is complete just ends. One that the server has " +
				"to break off, because it stops or its database fails, ends with the line `{\"nextAfter\": \"…\"}`: ask again " +
				"with that as `after`. If the connection breaks, ask again after the last order that arrived whole. What " +
				"is being committed while the export runs is not in it, and comes after its last order: the next export with " +
				"`after` has it. Set `to` to a moment that has passed to get every order up to it; while some of them are being " +
				"committed, that is a 503, or ends with a `nextAfter`.",
		},
		permission: permitRead, action: "export",
		errors: []*problems.Error{errTooManyExports, errTooManyOwnExports}, responses: exportResponses,
	}, s.export)
}

func exportResponses(huma.Registry) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "One Order a line; the last line may be a nextAfter instead",
		Content: map[string]*huma.MediaType{mediaLines: {
			Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"},
			Example: `{"orderId":"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e","customerId":"1","status":"completed","version":7}` +
				"\n" + `{"nextAfter":"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"}` + "\n",
		}},
	}}
}

func (s *Server) export(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	whose := store.Filter{CustomerID: in.CustomerID}
	visible := exchangeOf(ctx).principal.restrict(&whose)
	filter := store.Export{
		CustomerID: whose.CustomerID, Status: orders.Status(in.Status), From: in.From, To: in.To, Limit: exportPage,
	}
	if in.After != "" {
		var err error
		if filter.After, err = uuid.Parse(string(in.After)); err != nil {
			return nil, badInput("query.after", "must be a UUID")
		}
	}
	share := exchangeOf(ctx).principal.share()
	if err := s.exports.take(share); err != nil {
		return nil, err
	}
	var first []orders.Order // read before the header is sent, so that a failure still has a status
	if visible {
		var err error
		if first, err = s.config.Store.Export(ctx, filter); err != nil {
			s.exports.release(share)
			return nil, err
		}
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer s.exports.release(share)
		r, w := humachi.Unwrap(hctx)
		w.Header().Set("Content-Type", mediaLines)
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return
		}
		run := &exportRun{Server: s, liveWriter: s.newLiveWriter(w), filter: filter, who: exchangeOf(ctx).principal}
		if err := run.run(ctx, first); err != nil && ctx.Err() == nil {
			exchangeOf(ctx).cause = err
			panic(http.ErrAbortHandler) // whatever the connection is good for, this must not look complete
		}
	}}, nil
}

// exportRun is one export under way.
type exportRun struct {
	*Server
	liveWriter
	filter store.Export
	who    Principal
}

// run writes page after page until there are no more orders, the client is gone or the server drains.
func (e *exportRun) run(ctx context.Context, page []orders.Order) error {
	if err := clearReadDeadline(e.control); err != nil {
		return err
	}
	for {
		if err := e.send(page); err != nil || len(page) == 0 {
			return err
		}
		e.filter.After = page[len(page)-1].ID
		select {
		case <-e.draining:
			return e.breakOff()
		default:
		}
		if allowed := exchangeOf(ctx).stillAllowed; allowed != nil && allowed(ctx) != nil {
			return e.breakOff() // the key was revoked
		}
		var err error
		if page, err = e.config.Store.Export(ctx, e.filter); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the client is gone
			}
			exchangeOf(ctx).cause = err
			return e.breakOff()
		}
	}
}

func (e *exportRun) send(page []orders.Order) error {
	var b bytes.Buffer
	for i := range page {
		if err := encodeJSON(&b, newOrder(&page[i], e.who)); err != nil {
			return err
		}
		if b.Len() >= exportChunk || i == len(page)-1 {
			if err := e.write(b.Bytes()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	return nil
}

// breakOff says where to go on.
func (e *exportRun) breakOff() error {
	line, err := json.Marshal(exportEnd{e.filter.After})
	if err != nil {
		return fmt.Errorf("encode end of export: %w", err)
	}
	return e.write(append(line, '\n'))
}
