package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// FuzzCursor: what is not a cursor of this list is refused, and what is accepted is the one text for its position.
func FuzzCursor(f *testing.F) {
	seal := func(f store.Filter, id orders.ID) string { return sealCursor(scope(f), id[:]) }
	filter := store.Filter{CustomerID: "1", Status: orders.Pending}
	f.Add("")
	f.Add("AQ")
	f.Add("../../etc/passwd")
	f.Add(seal(filter, orders.NewID()))
	f.Add(seal(store.Filter{}, orders.NewID()))
	f.Fuzz(func(t *testing.T, cursor string) {
		position, err := openCursor(scope(filter), cursor, len(orders.ID{}))
		if err == nil {
			require.Equal(t, cursor, seal(filter, orders.ID(position)))
		}
	})
}

// FuzzAmount: an amount that is accepted is written back as a number of the same value.
func FuzzAmount(f *testing.F) {
	for _, seed := range []string{
		"0", "29.99", "90071992547409.91", "-1", "1e3", "1.001", `"1"`, "null", "01", ".5", "1.", "[]", "true",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		var a Amount
		if err := json.Unmarshal([]byte(literal), &a); err != nil {
			return
		}
		written, err := json.Marshal(a)
		require.NoError(t, err)
		require.JSONEq(t, literal, string(written))
		money, err := orders.USD.Parse(string(a))
		if err != nil {
			return
		}
		again, err := orders.USD.Parse(string(newAmount(orders.USD, money)))
		require.NoError(t, err)
		require.Equal(t, money, again)
	})
}

// FuzzIdempotencyKey: a key that is accepted fits the store.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"a", `"a"`, `"a\"b"`, `"`, `""`, `"\`, "é", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, err := parseIdempotencyKey(header)
		if err == nil {
			require.Regexp(t, `^[!-~]{1,255}$`, key)
		}
	})
}

// FuzzReading: what is validated of a body is what is used of it, and no text is another than was sent.
func FuzzReading(f *testing.F) {
	const item = `{"productId":1,"quantity":1.0,"price":1}`
	for _, seed := range []string{
		`{"customerId":"1","items":[` + item + `]}`, `{"customerId":"a","customerId":"b"}`,
		`{"customerId":"a","CustomerID":"b"}`, `{"customerId":"\ud83d"}`, `{"customerId":"\ud83d\ude00"}`,
		`{"shippingAddress":{"line1":"a","city":"b"},"shippingAddress":{"line1":"c"}}`, `{"items":[` + item + `,null]}`,
		"\ufeff{}", `{"total":1e2}`, "null", `{"customerId":"\ufffd"}`, `{"c\u0075stomerId":"1"}`, "{}{}",
		`{"customerId":` + "\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var validated any
		var used, again Placement
		if decodeJSON(body, &validated) != nil {
			require.Error(t, decodeJSON(body, &used), "it was refused, and would be used")
			return
		}
		text, err := json.Marshal(validated)
		require.NoError(t, err)
		if strings.ContainsRune(string(text), '\ufffd') {
			require.True(t, bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) || bytes.ContainsRune(body, '\ufffd'))
		}
		if bytes.Contains(body, []byte("null")) { // it has no type, so validation ends it
			return
		}
		one, other := decodeJSON(body, &used), decodeJSON(text, &again)
		require.Equal(t, one == nil, other == nil)
		if one == nil {
			require.Equal(t, again, used)
		}
	})
}
