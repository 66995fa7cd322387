package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// FuzzCursor: what is not a cursor of this list is refused, and what is accepted is the one text for its position.
func FuzzCursor(f *testing.F) {
	filter := store.Filter{CustomerID: "1", Status: orders.Pending}
	f.Add("")
	f.Add("AQ")
	f.Add("../../etc/passwd")
	f.Add(encodeCursor(filter, orders.NewID()))
	f.Add(encodeCursor(store.Filter{}, orders.NewID()))
	f.Fuzz(func(t *testing.T, cursor string) {
		id, err := decodeCursor(filter, cursor)
		if err == nil {
			require.Equal(t, cursor, encodeCursor(filter, id))
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
