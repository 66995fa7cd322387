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
	"github.com/millrace-orders/millrace/stream"
)

const (
	exportPage  = 500      // orders read at a time
	exportChunk = 64 << 10 // bytes written at a time, each with a deadline of its own
	// maxExports bounds the memory and the database connections that exports take: each holds one page.
	maxExports = 8
)

// Errors of exports.
var (
	errTooManyExports = problems.New(problems.Unavailable, "too_many_exports",
		"Too many exports are running. Try again later.").RetryAfter(5 * time.Second)
	errTooManyOwnExports = problems.New(problems.TooMany, "too_many_exports",
		"You have too many exports running. Wait for one to end.").RetryAfter(5 * time.Second)
)

type exportInput struct {
	After      orderID     `query:"after" doc:"Only orders placed after this order: the last order of the previous export"`
	CustomerID string      `query:"customerId" maxLength:"200" example:"1" doc:"Only this customer's orders"`
	Status     OrderStatus `query:"status" example:"completed" doc:"Only orders with this status"`
	From       time.Time   `query:"from" example:"2026-11-01T00:00:00Z" doc:"Only orders placed at this moment or later"`
	To         time.Time   `query:"to" example:"2026-12-01T00:00:00Z" doc:"Only orders placed before this moment"`
	PositionParam
}

// exportEnd is the last line of an export that is not complete.
type exportEnd struct {
	NextAfter orders.ID `json:"nextAfter"`
}

// exportOperations are the operations on exports of orders.
type exportOperations struct {
	reads      reads
	running    *stream.Slots
	slowReader time.Duration
	draining   <-chan struct{}
}

func newExportOperations(read reads, slowReader time.Duration, draining <-chan struct{}) exportOperations {
	running := stream.NewSlots(maxExports, errTooManyExports, errTooManyOwnExports)
	return exportOperations{read, running, slowReader, draining}
}

func (o exportOperations) all() []operation { return []operation{o.exportOperation()} }

func (o exportOperations) exportOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "exportOrders", Method: http.MethodGet, Path: "/api/orders/export", Tags: []string{tagOrders},
			Summary: "Export orders",
			Description: "All orders that match the filters, oldest first, as one JSON object per line (NDJSON), without a " +
				"limit. Each order is shown as it stands when the export reads it. A complete export simply ends.\n\nIf the " +
				"server has to stop early, because it shuts down or its database fails, the last line is `{\"nextAfter\": " +
				"\"…\"}`. Continue with that value as `after`. If the connection breaks, continue after the last order that " +
				"arrived completely.\n\nOrders that are committed while the export runs are not in it. They sort after its last " +
				"order, so the next export with `after` has them. To get every order up to a moment, set `to` to a moment in the " +
				"past. While such orders are still being committed, the answer is 503 or ends with a `nextAfter`.",
		},
		permission: permitRead, action: "export",
		errors: []*problems.Error{errTooManyExports, errTooManyOwnExports}, responses: exportResponses,
	}, o.export)
}

func exportResponses(huma.Registry) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: "One Order per line; the last line may be a nextAfter instead",
		Content: map[string]*huma.MediaType{mediaLines: {
			Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"},
			Example: `{"orderId":"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e","customerId":"1","status":"completed","version":7}` +
				"\n" + `{"nextAfter":"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e"}` + "\n",
		}},
	}}
}

func (o exportOperations) export(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
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
	if err := o.running.Take(share); err != nil {
		return nil, err
	}
	answering := false
	defer func() {
		if !answering { // also after a panic
			o.running.Release(share)
		}
	}()
	run := &exportRun{exportOperations: o, filter: filter, who: exchangeOf(ctx).principal, seen: in.PositionParam}
	var first []orders.Order // read before the header is sent, so that a failure still has a status
	if visible {
		var err error
		if first, err = run.read(ctx); err != nil {
			return nil, err
		}
	}
	answering = true
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer o.running.Release(share)
		r, w := humachi.Unwrap(hctx)
		w.Header().Set("Content-Type", mediaLines)
		w.Header().Set("X-Accel-Buffering", "no")
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return
		}
		run.out = stream.NewWriter(w, o.slowReader)
		if err := run.run(ctx, first); err != nil && ctx.Err() == nil {
			exchangeOf(ctx).cause = err
			panic(http.ErrAbortHandler) // the answer must not look complete
		}
	}}, nil
}

// exportRun is one running export.
type exportRun struct {
	exportOperations
	out    stream.Writer
	filter store.Export
	who    Principal
	seen   PositionParam // of the caller, and then of the previous page
}

// read reads the next page.
func (e *exportRun) read(ctx context.Context) (page []orders.Order, err error) {
	e.seen, err = e.reads.after(ctx, e.seen, store.ReplicaMaxLag, func(ctx context.Context, s *store.Store) (err error) {
		page, err = s.Orders.Export(ctx, e.filter)
		return err
	})
	return page, err
}

// run writes pages until the orders end, the client leaves, or the server drains.
func (e *exportRun) run(ctx context.Context, page []orders.Order) error {
	if err := e.out.ClearReadDeadline(); err != nil {
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
		if page, err = e.read(ctx); err != nil {
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
			if err := e.out.Send(b.Bytes()); err != nil {
				return err
			}
			b.Reset()
		}
	}
	return nil
}

// breakOff tells the client where to continue.
func (e *exportRun) breakOff() error {
	line, err := json.Marshal(exportEnd{e.filter.After})
	if err != nil {
		return fmt.Errorf("encode end of export: %w", err)
	}
	return e.out.Send(append(line, '\n'))
}
