package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
)

// Gateway speaks the part of Stripe's API that an order needs: payment intents that are captured later, and refunds.
type Gateway struct {
	URL    string
	Key    string
	Client *http.Client
}

// RefusedError is the gateway's final refusal. Nothing happened, and nothing will.
type RefusedError struct{ Code string }

func (e *RefusedError) Error() string { return "the gateway refused: " + e.Code }

// Authorize reserves the amount on the customer's card, and returns the payment's id.
func (g *Gateway) Authorize(ctx context.Context, key, amount, currency, method string) (string, error) {
	minor, err := minorUnits(amount, currency)
	if err != nil {
		return "", err
	}
	return g.post(ctx, key, "/v1/payment_intents", url.Values{
		"amount": {minor}, "currency": {strings.ToLower(currency)}, "payment_method": {method},
		"capture_method": {"manual"}, "confirm": {"true"}, "payment_method_types[]": {"card"},
	}, "requires_capture")
}

// Capture takes the amount. The gateway releases what is left of the authorisation.
func (g *Gateway) Capture(ctx context.Context, key, payment, amount, currency string) (string, error) {
	minor, err := minorUnits(amount, currency)
	if err != nil {
		return "", err
	}
	id, err := g.post(ctx, key, "/v1/payment_intents/"+payment+"/capture",
		url.Values{"amount_to_capture": {minor}}, "succeeded")
	if gone, err2 := g.released(ctx, err, payment); err2 != nil {
		return "", err2
	} else if gone {
		return "", &RefusedError{Code: "authorization_expired"}
	}
	return id, err
}

// Void releases an authorisation. One that the bank has released by itself is released.
func (g *Gateway) Void(ctx context.Context, key, payment string) (string, error) {
	id, err := g.post(ctx, key, "/v1/payment_intents/"+payment+"/cancel", nil, "canceled")
	if gone, err2 := g.released(ctx, err, payment); err2 != nil {
		return "", err2
	} else if gone {
		return payment, nil
	}
	return id, err
}

// released reports whether a call failed because the payment's authorisation is over.
func (g *Gateway) released(ctx context.Context, failure error, payment string) (bool, error) {
	if _, other := errors.AsType[*stateError](failure); !other {
		return false, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/v1/payment_intents/"+payment, nil)
	if err != nil {
		return false, err
	}
	status, answer, err := g.send(req)
	return status == http.StatusOK && answer.Status == "canceled", err
}

// Refund gives the amount back.
func (g *Gateway) Refund(ctx context.Context, key, payment, amount, currency string) (string, error) {
	minor, err := minorUnits(amount, currency)
	if err != nil {
		return "", err
	}
	return g.post(ctx, key, "/v1/refunds", url.Values{"payment_intent": {payment}, "amount": {minor}}, "succeeded")
}

// finally lists the gateway's errors after which nothing happened and nothing will. All other errors are tried again.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var finally = map[string]bool{"amount_too_large": true, "charge_already_refunded": true}

// stateError reports that the payment's state does not allow the call.
type stateError struct{}

func (*stateError) Error() string { return "the payment is in another state" }

type gatewayAnswer struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Error  struct {
		Code string `json:"code"`
	} `json:"error"`
}

// post sends one call under Millrace's own key. A *RefusedError means that nothing happened. After any other error the
// outcome is unknown: the same call under the same key is safe.
func (g *Gateway) post(ctx context.Context, key, path string, form url.Values, want string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Idempotency-Key", key)
	status, answer, err := g.send(req)
	code := answer.Error.Code
	switch {
	case err != nil:
		return "", err
	case status == http.StatusPaymentRequired && code != "", finally[code]:
		return "", &RefusedError{Code: code}
	case code == "payment_intent_unexpected_state":
		return "", &stateError{}
	case status != http.StatusOK || answer.ID == "":
		return "", fmt.Errorf("the gateway answered %d %s", status, code)
	case answer.Status != want:
		// A payment that waits for its customer (3-D Secure) has not happened. Do not call it done.
		return "", fmt.Errorf("the payment is %s, not %s", answer.Status, want)
	}
	return answer.ID, nil
}

func (g *Gateway) send(req *http.Request) (status int, answer gatewayAnswer, err error) {
	req.Header.Set("Authorization", "Bearer "+g.Key)
	resp, err := g.Client.Do(req)
	if err != nil {
		return 0, answer, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return 0, answer, fmt.Errorf("the gateway's answer (%d) cannot be read: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, answer, nil
}

// minorUnits turns 209.97 into 20997, exactly. A float would not.
func minorUnits(amount, currency string) (string, error) {
	decimals, ok := map[string]int64{"JPY": 0, "KRW": 0, "BHD": 3, "KWD": 3, "TND": 3}[currency]
	if !ok {
		decimals = 2
	}
	r, ok := new(big.Rat).SetString(amount)
	if !ok {
		return "", &RefusedError{Code: "amount_invalid"}
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(decimals), nil)))
	if !r.IsInt() {
		return "", &RefusedError{Code: "amount_invalid"}
	}
	return r.Num().String(), nil
}
