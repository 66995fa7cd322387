package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-orders/millrace/board"
)

var (
	errOpsBody = errors.New("the body must be JSON, or the board's form, with each name once, and no control characters")
	errOpsPath = errors.New("the path is too long for the audit log")
)

// recordedBody returns what the audit log keeps of a body: all of it. A part would not do: an operator could hide the
// rest behind padding that its reader ignores. The board reads forms, and everything else reads JSON, whatever the
// Content-Type says: curl declares all it sends as a form.
//
// Error: errOpsBody, together with the size of the body. A body that its reader could understand differently from
// readers of the audit log, or that the log cannot store, is not passed on: it would hide what an operator did.
func recordedBody(r *http.Request, body []byte) (detail map[string]any, err error) {
	detail = map[string]any{}
	if len(body) == 0 {
		return detail, nil
	}
	var kept any
	name := "body"
	if strings.HasPrefix(r.URL.Path, board.Prefix) {
		name = "form"
		kept, err = formOf(body)
	} else {
		body, err = compacted(body)
		kept = json.RawMessage(body)
	}
	if err != nil {
		return map[string]any{"bytes": len(body), "unreadable": true}, errOpsBody
	}
	detail[name] = kept
	return detail, nil
}

// formOf returns the fields of a form. jsonb rejects U+0000, and stores each other control character as six.
func formOf(body []byte) (map[string]string, error) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errOpsBody
	}
	fields := map[string]string{}
	for name, list := range values {
		text := name + list[0]
		if len(list) > 1 || !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
			return nil, errOpsBody
		}
		fields[name] = list[0]
	}
	return fields, nil
}

func isControl(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }

// storableNumber matches the numbers that jsonb stores in at most a few times their length: it writes exponents out.
var storableNumber = regexp.MustCompile(`^-?[0-9.]{1,40}(?:[eE][+-]?[0-9])?$`)

// compacted returns one JSON value without the blanks between its tokens.
func compacted(body []byte) ([]byte, error) {
	value := jsontext.Value(bytes.Clone(body))
	if err := value.Compact(); err != nil || !hasOneReading(value) {
		return body, errOpsBody
	}
	return value, nil
}

// hasOneReading reports whether jsonb and encoding/json, which River UI uses, read the same in a JSON value.
// encoding/json ignores the case of names, and jsonb has no U+0000 and no very large number.
func hasOneReading(value jsontext.Value) bool {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	names := map[string]bool{}
	for {
		token, err := d.ReadToken()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		switch token.Kind() {
		case jsontext.KindNumber:
			if !storableNumber.MatchString(token.String()) {
				return false
			}
		case jsontext.KindString:
			if strings.ContainsRune(token.String(), 0) {
				return false
			}
			place := strings.ToLower(strings.ToUpper(string(d.StackPointer())))
			if kind, n := d.StackIndex(d.StackDepth()); kind == jsontext.KindBeginObject && n%2 == 1 {
				if names[place] {
					return false
				}
				names[place] = true
			}
		default:
		}
	}
}
