package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// newJSONFormat is how bodies are written and read. Unlike Huma's own it keeps numbers as text, so that none goes
// through a float on its way to validation, and its errors are in words that do not come from Go.
func newJSONFormat() huma.Format { return huma.Format{Marshal: encodeJSON, Unmarshal: decodeJSON} }

// encodeJSON ignores a failing writer: the client is gone, and Huma would make a panic of it.
func encodeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, _ = w.Write(b.Bytes())
	return nil
}

// decodeJSON is called twice for a body: with a *any to validate it, then with the operation's own type.
func decodeJSON(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("must be UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(v); err != nil {
		return plainWords(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("must be one JSON value and nothing after it")
	}
	return nil
}

func plainWords(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("is not JSON (mistake at byte %d)", syntax.Offset)
	case errors.As(err, &kind):
		// The schema has been checked, so it is a number: one with a fraction, an exponent or too many digits.
		return fmt.Errorf("%s must be a plain whole number", kind.Field)
	default:
		return errors.New("is not complete JSON")
	}
}
