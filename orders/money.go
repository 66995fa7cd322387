package orders

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Money is an amount in minor units of the order's currency: 29.99 USD is 2999, 500 JPY is 500.
type Money int64

// MaxMoney is the largest amount: the largest integer that every JSON reader can hold exactly (2^53 - 1).
const MaxMoney Money = 1<<53 - 1

// ErrAmount means that a text is not a non-negative decimal number.
var ErrAmount = errors.New("must be a plain non-negative decimal number")

// ErrAmountTooLarge means that an amount is above MaxMoney.
var ErrAmountTooLarge = errors.New("is too large")

// PrecisionError means that an amount has more decimals than its currency.
type PrecisionError struct {
	Currency Currency
	Decimals int
}

func (e *PrecisionError) Error() string {
	return fmt.Sprintf("must have at most %d decimals in %s", e.Decimals, e.Currency)
}

// Parse reads a decimal number such as 29.99 exactly, never through a float. It rejects signs and exponents.
// Errors: ErrAmount, ErrAmountTooLarge, *PrecisionError.
func (c Currency) Parse(s string) (Money, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(fraction) {
		return 0, ErrAmount
	}
	decimals := c.decimals()
	if trimmed := strings.TrimRight(fraction, "0"); len(trimmed) > decimals {
		return 0, &PrecisionError{c, decimals}
	}
	for len(fraction) < decimals {
		fraction += "0"
	}
	n, err := strconv.ParseInt(whole+fraction[:decimals], 10, 64)
	if err != nil || Money(n) > MaxMoney {
		return 0, ErrAmountTooLarge
	}
	return Money(n), nil
}

// Expand rewrites a JSON number without an exponent, exactly: 2.1e2 is 210. It returns any other text unchanged, and
// also a number with an exponent above 99, which no amount needs.
func Expand(number string) string {
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return number
	}
	exponent, err := strconv.Atoi(number[i+1:])
	whole, fraction, point := strings.Cut(number[:i], ".")
	if err != nil || exponent < -99 || exponent > 99 || !digits(whole) || point && !digits(fraction) {
		return number
	}
	all, place := whole+fraction, len(whole)+exponent // the place of the point
	if place <= 0 {
		all, place = strings.Repeat("0", 1-place)+all, 1
	}
	if place >= len(all) {
		return all + strings.Repeat("0", place-len(all))
	}
	return all[:place] + "." + all[place:]
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// Format writes an amount as a decimal number in the currency's units, with all its decimals: 2999 is 29.99.
func (c Currency) Format(m Money) string {
	decimals := c.decimals()
	s := strconv.FormatInt(int64(m), 10)
	if decimals == 0 {
		return s
	}
	sign := ""
	if m < 0 {
		sign, s = "-", s[1:]
	}
	if pad := decimals + 1 - len(s); pad > 0 {
		s = strings.Repeat("0", pad) + s
	}
	return sign + s[:len(s)-decimals] + "." + s[len(s)-decimals:]
}

// times multiplies; ok is false if the result is above MaxMoney.
func (m Money) times(n int64) (product Money, ok bool) {
	if m < 0 || n < 0 || n > 0 && int64(m) > math.MaxInt64/n {
		return 0, false
	}
	product = m * Money(n)
	return product, product <= MaxMoney
}

// Currency is an ISO 4217 alphabetic code.
type Currency string

// USD is the default currency.
const USD Currency = "USD"

// Valid reports whether the code is one of ISO 4217's active national currencies.
func (c Currency) Valid() bool {
	return len(c) == 3 && !strings.Contains(string(c), " ") &&
		(listed(twoDecimals, c) || listed(noDecimals, c) || listed(threeDecimals, c))
}

func (c Currency) decimals() int {
	switch {
	case listed(noDecimals, c):
		return 0
	case listed(threeDecimals, c):
		return 3
	default:
		return 2
	}
}

func listed(codes string, c Currency) bool { return strings.Contains(codes, string(c)) }

// The codes of ISO 4217 by their number of decimals (list one, as of 2026-01-01), without funds and metals.
const (
	noDecimals    = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	threeDecimals = "BHD IQD JOD KWD LYD OMR TND"
	twoDecimals   = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF " +
		"CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF " +
		"IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR " +
		"MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD " +
		"SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG " +
		"YER ZAR ZMW ZWG"
)
