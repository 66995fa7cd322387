package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ask reports the outcome of a key. It changes nothing and does not call the gateway: a key without an outcome is not
// found.
func (a *Adapter) ask(w http.ResponseWriter, r *http.Request) {
	op, err := a.Ledger.Find(r.Context(), r.PathValue("key"))
	switch {
	case err != nil:
		a.Log.Warn("question was not answered", "error", err)
		answer(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable"})
	case op == nil || op.State == started:
		answer(w, http.StatusNotFound, map[string]any{"code": "not_found"})
	case op.State == refused:
		answer(w, http.StatusOK, map[string]any{"state": op.State, "code": op.Code})
	default:
		body := map[string]any{"state": op.State, "id": cmp.Or(op.ID, op.Key)}
		if op.Nothing {
			body["nothing"] = true
		}
		answer(w, http.StatusOK, body)
	}
}

// list returns the operations that took effect, by time, for reconciliation.
func (a *Adapter) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, err := time.Parse(time.RFC3339, q.Get("since"))
	until, err2 := time.Parse(time.RFC3339, q.Get("until"))
	limit, err3 := strconv.Atoi(q.Get("limit"))
	at, key, _ := strings.Cut(q.Get("cursor"), " ")
	after, err4 := time.Parse(time.RFC3339Nano, cmp.Or(at, q.Get("since")))
	if err != nil || err2 != nil || err3 != nil || err4 != nil || limit < 1 || limit > 1000 {
		answer(w, http.StatusBadRequest, map[string]any{"code": "bad_request"})
		return
	}
	ops, err := a.Ledger.List(r.Context(), since, until, after, key, limit)
	if err != nil {
		a.Log.Warn("list was not answered", "error", err)
		answer(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable"})
		return
	}
	page := map[string]any{}
	effects := make([]map[string]any, len(ops))
	for i, op := range ops {
		effects[i] = map[string]any{
			"key": op.Key, "operation": op.Path, "orderId": op.OrderID, "id": op.ID, "at": op.At.UTC(),
		}
		if op.Amount != "" {
			effects[i]["amount"], effects[i]["currency"] = json.Number(op.Amount), op.Currency
		}
	}
	page["operations"] = effects
	if len(ops) == limit {
		last := ops[len(ops)-1]
		page["next"] = last.At.UTC().Format(time.RFC3339Nano) + " " + last.Key
	}
	answer(w, http.StatusOK, page)
}
