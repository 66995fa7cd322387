package upstream

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/orders"
)

var (
	errTooLong = errors.New("body is too long")
	errCoding  = errors.New("body has an unknown content coding")
	byteOrder  = []byte("\ufeff") //nolint:gochecknoglobals // a constant; Go has none of this type
)

// read reads a body of at most limit bytes to its end, which returns the connection to the pool. It also undoes gzip:
// Millrace asks for no coding, but a proxy may ignore that (RFC 9110, 12.5.3). A byte order mark is dropped (RFC 8259,
// 8.1).
func read(r io.Reader, coding string, limit int64) ([]byte, error) {
	body, err := readMost(r, limit)
	if err != nil {
		return body, err
	}
	switch strings.ToLower(strings.TrimSpace(coding)) {
	case "", "identity":
	case "gzip", "x-gzip":
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, errCoding
		}
		if body, err = readMost(unzipped, limit); errors.Is(err, errTooLong) {
			return nil, err
		} else if err != nil {
			return nil, errCoding
		}
	default:
		return nil, errCoding
	}
	return bytes.TrimPrefix(body, byteOrder), nil
}

func readMost(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errTooLong
	}
	return body, err
}

// members are the members of a JSON object, by their names in lower case. Each is read by itself, so one malformed
// member does not spoil the others.
type members map[string]json.RawMessage

// readMembers reads one JSON object and nothing else. It rejects an object with a duplicate name, because its meaning
// is ambiguous.
func readMembers(b []byte) (members, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	m := members{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read a name: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read a member: %w", err)
		}
		name := strings.ToLower(token.(string)) // names are texts, or Token would have failed
		if _, twice := m[name]; twice {
			return nil, errors.New("a name is duplicated")
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read the end: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body continues after its object")
	}
	return m, nil
}

// text returns a member that is a text or a number: many providers use numbers as ids. It is empty if the member is
// missing or null; ok is false if it is anything else.
func (m members) text(name string) (s string, ok bool) {
	raw, there := m[name]
	switch {
	case !there || string(raw) == "null":
		return "", true
	case raw[0] == '"':
		return s, json.Unmarshal(raw, &s) == nil
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw), true
	}
	return "", false
}

// flag returns a member that is true or false; false if it is missing or null.
func (m members) flag(name string) (value, ok bool) {
	switch string(m[name]) {
	case "true":
		return true, true
	case "", "null", "false":
		return false, true
	}
	return false, false
}

// says reports whether a member is present and not empty.
func (m members) says(name string) bool {
	switch string(m[name]) {
	case "", "null", "false", `""`, "[]", "{}":
		return false
	}
	return true
}

// whole returns a member that is a whole number in any form that JSON has for it, such as 8.0. It is 0 if the member is
// missing or null.
func (m members) whole(name string) (int64, error) {
	s, ok := m.text(name)
	before, fraction, _ := strings.Cut(orders.Expand(s), ".")
	n, err := strconv.ParseInt(before, 10, 64)
	if !ok || err != nil && s != "" || strings.Trim(fraction, "0") != "" {
		return 0, errors.New("not a whole number")
	}
	return n, nil
}

// money returns the amount of a member in the currency of the member currency; there is none without an amount.
func (m members) money(name string) (amount orders.Money, currency orders.Currency, err error) {
	text, ok := m.text(name)
	unit, legible := m.text("currency")
	if !ok || !legible {
		return 0, "", errors.New("not an amount")
	}
	if text == "" {
		return 0, "", nil
	}
	currency = orders.Currency(unit)
	amount, err = currency.Parse(orders.Expand(text))
	if err == nil && !currency.Valid() {
		err = errors.New("not a currency")
	}
	return amount, currency, err
}

// list returns the objects in a member that is a list. One that is malformed spoils the list: a list without it would
// look complete.
func (m members) list(name string) ([]members, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(m[name], &raw); err != nil || raw == nil {
		return nil, errors.New("no " + name)
	}
	list := make([]members, len(raw))
	for i, entry := range raw {
		var err error
		if list[i], err = readMembers(entry); err != nil {
			return nil, err
		}
	}
	return list, nil
}
