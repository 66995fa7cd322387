package api

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-orders/millrace/api/problems"
)

// newJSONFormat returns the functions that write and read bodies. Huma reads a body twice, to validate it and to use
// it, and both readings must agree. So duplicate names, half surrogate pairs and null are refused, because parsers
// disagree about them. The error messages do not come from Go.
func newJSONFormat() huma.Format { return huma.Format{Marshal: encodeJSON, Unmarshal: decodeJSON} }

// encodeJSON ignores a failing writer: the client has left, and Huma would turn the error into a panic.
func encodeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	encoder := stdjson.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, _ = w.Write(b.Bytes())
	return nil
}

// null is a JSON null on its way to validation. No schema knows its type, so it is refused everywhere. Go's nil counts
// as an absent field, and an absent field often means "all".
type null struct{}

// reading is the options of both readings of a body. It refuses repeated names and invalid text, which is jsontext's
// default, and compares names exactly.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var reading = json.WithUnmarshalers(json.JoinUnmarshalers(
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, v *any) error {
		switch d.PeekKind() {
		case jsontext.KindNull:
			*v = null{}
		case jsontext.KindNumber: // as text, so that none goes through a float on its way to validation
			value, err := d.ReadValue()
			*v = stdjson.Number(value)
			return err
		default:
			return errors.ErrUnsupported // as usual
		}
		return d.SkipValue()
	}),
	json.UnmarshalFromFunc(readWhole[int]),
	json.UnmarshalFromFunc(readWhole[int64]),
))

// decodeJSON is called twice for a body: with a *any to validate it, then with the operation's own type.
func decodeJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("must be UTF-8")
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(data))
	if err := json.UnmarshalDecode(decoder, v, reading); err != nil {
		return plainWords(err)
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("must be one JSON value and nothing after it")
	}
	return nil
}

// surrogate matches an escape that is only valid in a pair.
var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

func plainWords(err error) error {
	syntax, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
	semantic, isSemantic := errors.AsType[*json.SemanticError](err)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("is not complete JSON")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("%s must be given once", fieldAt(syntax.JSONPointer))
	case isSyntax && surrogate.MatchString(syntax.Err.Error()):
		return fmt.Errorf("%s must be valid text: it has half a surrogate pair", fieldAt(syntax.JSONPointer))
	case isSyntax:
		return fmt.Errorf("is not JSON (mistake at byte %d)", syntax.ByteOffset+1)
	case isSemantic:
		// The schema has been checked, so it is a number: one with a fraction or too many digits.
		return fmt.Errorf("%s must be a whole number that is not too large", fieldAt(semantic.JSONPointer))
	default:
		return errors.New("is not complete JSON")
	}
}

// fieldAt writes a place in a body as a problem names it, such as items[0].price.
func fieldAt(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		switch {
		case isIndex.MatchString(token):
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	if b.Len() == 0 {
		return "the body"
	}
	return problems.Truncate(b.String())
}

var isIndex = regexp.MustCompile(`^[0-9]+$`)

var errNotWhole = errors.New("must be a whole number")

// readWhole reads a number into an integer. In JSON Schema, an integer is any number without a fraction, so 1.0 and 1e2
// are integers.
func readWhole[T int | int64](d *jsontext.Decoder, v *T) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	n, err := wholeNumber(string(value))
	*v = T(n)
	return err
}

// wholeNumber returns the exact value of a JSON number: a float would round it.
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
	// The digits that were cut off are zeros; they count towards the value.
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
