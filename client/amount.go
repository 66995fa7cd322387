package client

import "github.com/shopspring/decimal"

// Amount is an amount of money in its currency's units, as an exact decimal number. An amount from the server prints
// with its currency's decimals: 200.00 USD, 1500 JPY, 1.250 KWD. The embedded Decimal has further arithmetic.
type Amount struct{ decimal.Decimal }

// ParseAmount reads an amount such as 29.99.
func ParseAmount(s string) (Amount, error) {
	d, err := decimal.NewFromString(s)
	return Amount{d}, err
}

// MustAmount is ParseAmount for constants. It panics if s is not a number.
func MustAmount(s string) Amount { return Amount{decimal.RequireFromString(s)} }

// String writes all decimals of the amount, zeros included.
func (a Amount) String() string { return a.StringFixed(max(0, -a.Exponent())) }

// MarshalText writes the same text as String.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// MarshalJSON writes the same text as String, in quotes: most readers turn a JSON number into a float.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }

// Add returns the sum.
func (a Amount) Add(b Amount) Amount { return Amount{a.Decimal.Add(b.Decimal)} }

// Sub returns the difference.
func (a Amount) Sub(b Amount) Amount { return Amount{a.Decimal.Sub(b.Decimal)} }

// Times returns the price of n pieces.
func (a Amount) Times(n int64) Amount { return Amount{a.Mul(decimal.NewFromInt(n))} }

// Equal reports whether both are the same amount, however many decimals they have.
func (a Amount) Equal(b Amount) bool { return a.Decimal.Equal(b.Decimal) }

// Cmp returns -1, 0 or 1 if the amount is less than, equal to or more than another.
func (a Amount) Cmp(b Amount) int { return a.Decimal.Cmp(b.Decimal) }

// LessThan reports whether the amount is less than another.
func (a Amount) LessThan(b Amount) bool { return a.Cmp(b) < 0 }

// GreaterThan reports whether the amount is more than another.
func (a Amount) GreaterThan(b Amount) bool { return a.Cmp(b) > 0 }
