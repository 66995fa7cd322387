package api

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

var errNotWhole = errors.New("must be a whole number")

// readWhole reads a number into an integer. What JSON Schema calls an integer is any number without a fraction, so
// 1.0 and 1e2 are some.
func readWhole[T int | int64](d *jsontext.Decoder, v *T) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	n, err := wholeNumber(string(value))
	*v = T(n)
	return err
}

// wholeNumber is the exact value of a JSON number: a float would round it.
func wholeNumber(literal string) (int64, error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(literal), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimRight(whole+fraction, "0")
	if strings.Trim(digits, "-0") == "" && strings.ContainsAny(mantissa, "0") {
		return 0, nil
	}
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil {
			return 0, errNotWhole
		}
	}
	// The digits that were cut off are zeros, and count.
	zeros := shift - len(fraction) + len(whole+fraction) - len(digits)
	if zeros < 0 || zeros > len("9223372036854775807") {
		return 0, errNotWhole
	}
	n, err := strconv.ParseInt(digits+strings.Repeat("0", zeros), 10, 64)
	if err != nil {
		return 0, errNotWhole
	}
	return n, nil
}
