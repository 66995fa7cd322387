package simulator

import (
	"encoding/json"
	"errors"

	"github.com/millrace-orders/millrace/orders"
)

// The operations as the ledger and the faults name them.
const (
	authorize = "authorize"
	capture   = "capture"
	void      = "void"
	refund    = "refund"
)

func paymentOperations() []operation {
	return []operation{
		{orders.Payment, "/authorizations", authorize, false, func() body { return new(authorization) }},
		{orders.Payment, "/captures", capture, false, func() body { return new(captureBody) }},
		{orders.Payment, "/voids", void, true, func() body { return new(voidBody) }},
		{orders.Payment, "/refunds", refund, true, func() body { return new(refundBody) }},
	}
}

// Payment methods that are always refused; the method is also the code of the refusal.
const (
	cardDeclined      = "card_declined"
	insufficientFunds = "insufficient_funds"
)

// authorizationExpired is the code of a capture that came too late: its authorisation has no money left.
const authorizationExpired = "authorization_expired"

func noMoney(code string) bool { return code == cardDeclined || code == insufficientFunds }

type authorization struct {
	party
	amount
	PaymentMethod string `json:"paymentMethod"`
}

func (a *authorization) check() error { return errors.Join(a.party.check(), a.amount.check()) }

func (a *authorization) decide(*books) verdict {
	if noMoney(a.PaymentMethod) {
		return refused(a.PaymentMethod)
	}
	return done(a.entry(""))
}

type captureBody struct {
	party
	amount
	AuthorizationKey string `json:"authorizationKey"`
}

func (c *captureBody) check() error {
	return errors.Join(c.party.check(), c.amount.check(), required("authorizationKey", c.AuthorizationKey))
}

func (c *captureBody) decide(b *books) verdict {
	held := b.find(orders.Payment, authorize, c.AuthorizationKey)
	switch {
	case b.undone[slot{orders.Payment, c.AuthorizationKey}]:
		return refused("authorization_voided")
	case held == nil:
		return refused("authorization_missing")
	case held.OrderID != c.OrderID:
		return refused("order_mismatch")
	case held.Currency != c.Currency:
		return refused("currency_mismatch")
	case c.money > b.left(held):
		return refused("amount_too_large")
	}
	return done(c.entry(c.AuthorizationKey))
}

type voidBody struct {
	party
	AuthorizationKey string `json:"authorizationKey"`
}

func (v *voidBody) check() error {
	return errors.Join(v.party.check(), required("authorizationKey", v.AuthorizationKey))
}

// decide releases the money that is not captured. Captured money needs a refund.
func (v *voidBody) decide(b *books) verdict {
	held := b.find(orders.Payment, authorize, v.AuthorizationKey)
	switch {
	case held == nil:
		return neverSeen(v.AuthorizationKey)
	case held.OrderID != v.OrderID:
		return refused("order_mismatch")
	case b.undone[slot{orders.Payment, v.AuthorizationKey}], b.left(held) == 0:
		return nothingToUndo(v.AuthorizationKey)
	}
	rest := amount{Currency: held.Currency, money: b.left(held)}
	return done(rest.entry(v.AuthorizationKey))
}

type refundBody struct {
	party
	amount
	CaptureKey string `json:"captureKey"`
}

func (r *refundBody) check() error {
	return errors.Join(r.party.check(), r.amount.check(), required("captureKey", r.CaptureKey))
}

func (r *refundBody) decide(b *books) verdict {
	taken := b.find(orders.Payment, capture, r.CaptureKey)
	switch {
	case taken == nil:
		return neverSeen(r.CaptureKey)
	case taken.OrderID != r.OrderID:
		return refused("order_mismatch")
	case b.left(taken) == 0:
		return nothingToUndo(r.CaptureKey)
	case taken.Currency != r.Currency:
		return refused("currency_mismatch")
	case r.money > b.left(taken):
		return refused("amount_too_large")
	}
	return done(r.entry(r.CaptureKey))
}

// left returns what remains of an authorisation to capture, or of a capture to refund.
func (b *books) left(r *record) orders.Money {
	return r.Money() - b.drawn[slot{r.Provider, r.Key}]
}

func (a *amount) entry(refersTo string) Entry {
	return Entry{Amount: json.Number(a.Currency.Format(a.money)), Currency: a.Currency, RefersTo: refersTo}
}
