package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/jackc/pgx/v5"
)

// Adapter answers Millrace.
type Adapter struct {
	Ledger  *Ledger
	Gateway *Gateway
	Token   string // Millrace's --payment-token; empty where no credential is required
	Log     *slog.Logger
}

// Handler serves the contract.
func (a *Adapter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /authorizations", a.operation(a.authorize))
	mux.HandleFunc("POST /captures", a.operation(a.capture))
	mux.HandleFunc("POST /voids", a.operation(a.void))
	mux.HandleFunc("POST /refunds", a.operation(a.refund))
	mux.HandleFunc("GET /operations/{key}", a.ask)
	mux.HandleFunc("GET /operations", a.list)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := []byte(r.Header.Get("Authorization"))
		if a.Token != "" && subtle.ConstantTimeCompare(got, []byte("Bearer "+a.Token)) != 1 {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// request is the body that Millrace sends. Amounts stay text: a float would change some of them.
type request struct {
	OrderID          string      `json:"orderId"`
	Amount           json.Number `json:"amount"`
	Currency         string      `json:"currency"`
	PaymentMethod    string      `json:"paymentMethod"`
	AuthorizationKey string      `json:"authorizationKey"`
	CaptureKey       string      `json:"captureKey"`
}

// carryOut carries out one kind of operation at the gateway, and returns the gateway's id. op is in the ledger as
// started.
type carryOut func(ctx context.Context, c *pgx.Conn, op *Operation, req request) (id string, err error)

// errNothing ends an undo that found nothing to undo.
var errNothing = errors.New("there was nothing to undo")

// operation answers one POST: it remembers the key, carries the operation out, and remembers the answer.
func (a *Adapter) operation(do carryOut) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 256<<10))
		var req request
		if err == nil {
			err = json.Unmarshal(body, &req)
		}
		key := r.Header.Get("Idempotency-Key")
		if err != nil || key == "" || req.OrderID == "" {
			answer(w, http.StatusBadRequest, map[string]any{"code": "bad_request"})
			return
		}
		op := &Operation{
			Key: key, Path: r.URL.Path[1:], OrderID: req.OrderID, Body: body, State: started,
			RefersTo: cmp.Or(req.AuthorizationKey, req.CaptureKey), Amount: req.Amount.String(), Currency: req.Currency,
		}
		err = a.Ledger.Lock(r.Context(), req.OrderID, func(c *pgx.Conn) error {
			known, err := find(r.Context(), c, key)
			switch {
			case err != nil:
				return err
			case known == nil:
				if err := save(r.Context(), c, op); err != nil {
					return err
				}
			case known.Body != nil && (known.Path != op.Path || !bytes.Equal(known.Body, body)):
				op.State, op.Code = refused, "key_reused"
				return nil
			default:
				op = known
			}
			return a.finish(r.Context(), c, op, req, do)
		})
		if err != nil {
			// The outcome is unknown. Millrace sends the same bytes under the same key again.
			a.Log.Warn("operation has no outcome", "path", op.Path, "key", key, "error", err)
			answer(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable"})
			return
		}
		a.settled(w, op)
	}
}

// finish carries a started operation out and stores its outcome. An operation with an outcome stays as it is.
func (a *Adapter) finish(ctx context.Context, c *pgx.Conn, op *Operation, req request, do carryOut) error {
	if op.State != started {
		return nil
	}
	id, err := do(ctx, c, op, req)
	no, isRefused := errors.AsType[*RefusedError](err)
	switch {
	case errors.Is(err, errNothing):
		op.State, op.Nothing = succeeded, true
	case isRefused:
		op.State, op.Code = refused, no.Code
	case err != nil:
		return err
	default:
		op.State, op.ID = succeeded, id
	}
	// The gateway has answered: a caller that is gone by now must not lose its answer.
	return save(context.WithoutCancel(ctx), c, op)
}

func (a *Adapter) authorize(ctx context.Context, _ *pgx.Conn, op *Operation, req request) (string, error) {
	return a.Gateway.Authorize(ctx, op.Key, op.Amount, op.Currency, req.PaymentMethod)
}

func (a *Adapter) capture(ctx context.Context, c *pgx.Conn, op *Operation, req request) (string, error) {
	authorization, err := find(ctx, c, req.AuthorizationKey)
	if err != nil {
		return "", err
	}
	if authorization == nil || authorization.State != succeeded || authorization.OrderID != op.OrderID {
		return "", &RefusedError{Code: "authorization_missing"}
	}
	gone, err := voided(ctx, c, authorization.Key)
	if err != nil {
		return "", err
	}
	if gone {
		return "", &RefusedError{Code: "authorization_voided"}
	}
	return a.Gateway.Capture(ctx, op.Key, authorization.ID, op.Amount, op.Currency)
}

func (a *Adapter) void(ctx context.Context, c *pgx.Conn, op *Operation, req request) (string, error) {
	authorization, err := a.undone(ctx, c, op, "authorizations", req.AuthorizationKey, a.authorize)
	if err != nil {
		return "", err
	}
	// A capture has released the rest already, and another void has released all of it.
	spent, err := captured(ctx, c, authorization.Key)
	if err != nil || spent {
		return authorization.ID, err
	}
	gone, err := voided(ctx, c, authorization.Key)
	if err != nil || gone {
		return authorization.ID, err
	}
	return a.Gateway.Void(ctx, op.Key, authorization.ID)
}

func (a *Adapter) refund(ctx context.Context, c *pgx.Conn, op *Operation, req request) (string, error) {
	capture, err := a.undone(ctx, c, op, "captures", req.CaptureKey, a.capture)
	if err != nil {
		return "", err
	}
	return a.Gateway.Refund(ctx, op.Key, capture.ID, op.Amount, op.Currency)
}

// undone returns the operation that an undo refers to, with its outcome, or errNothing if it never took effect. A key
// that has not arrived yet may still be on its way, so it is refused from now on.
func (a *Adapter) undone(
	ctx context.Context, c *pgx.Conn, undo *Operation, path, key string, do carryOut,
) (*Operation, error) {
	op, err := find(ctx, c, key)
	if err != nil {
		return nil, err
	}
	if op == nil {
		late := &Operation{Key: key, Path: path, OrderID: undo.OrderID, State: refused, Code: "undone"}
		if err := save(ctx, c, late); err != nil {
			return nil, err
		}
		return nil, errNothing
	}
	if op.OrderID != undo.OrderID {
		return nil, &RefusedError{Code: "order_mismatch"}
	}
	var req request
	if op.State == started { // its answer was lost: the gateway gives it again under the same key
		if err := json.Unmarshal(op.Body, &req); err != nil {
			return nil, err
		}
	}
	if err := a.finish(ctx, c, op, req, do); err != nil {
		return nil, err
	}
	if op.State == refused {
		return nil, errNothing
	}
	return op, nil
}

// settled answers an operation that has an outcome.
func (a *Adapter) settled(w http.ResponseWriter, op *Operation) {
	if op.State == refused {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"code": op.Code})
		return
	}
	body := map[string]any{"id": cmp.Or(op.ID, op.Key)}
	if op.Nothing {
		body["nothing"] = true
	}
	answer(w, http.StatusOK, body)
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
