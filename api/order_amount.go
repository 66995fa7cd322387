package api

import (
	"encoding/json"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/orders"
)

// Amount is an amount of money in the currency's units, as the literal on the wire. A float cannot hold every amount,
// and the number of decimals is unknown until the currency is known.
type Amount string

func newAmount(c orders.Currency, m orders.Money) Amount { return Amount(c.Format(m)) }

// MarshalJSON writes the number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a), nil }

// UnmarshalJSON keeps the literal. It refuses anything but a number, as the schema does.
func (a *Amount) UnmarshalJSON(b []byte) error {
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil || b[0] == '"' || n == "" {
		return errors.New("must be a number")
	}
	*a = Amount(n)
	return nil
}

// Schema describes it to Huma.
func (Amount) Schema(huma.Registry) *huma.Schema {
	zero := 0.0
	return &huma.Schema{
		Type: huma.TypeNumber, Format: "decimal", Minimum: &zero,
		Description: "A decimal number in the currency's units, without an exponent. Read it as text or as a decimal type: " +
			"a binary float cannot hold every amount",
	}
}
