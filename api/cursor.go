package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	cursorVersion = 1
	cursorCheck   = 4 // bytes
	cursorLength  = 1 + len(orders.ID{}) + cursorCheck
)

// encodeCursor says where a page of a list ended. It names the filter as well, by a short checksum: a cursor that is
// damaged or belongs to another list is found out. It is no secret and grants nothing.
func encodeCursor(f store.Filter, last orders.ID) string {
	b := append([]byte{cursorVersion}, last[:]...)
	b = append(b, checkCursor(b, f)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeCursor(f store.Filter, cursor string) (orders.ID, error) {
	// Strict: two texts for one cursor would be one too many.
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorLength || b[0] != cursorVersion {
		return orders.ID{}, &inputError{"query.cursor", "must be a nextCursor of this list"}
	}
	position := b[:cursorLength-cursorCheck]
	if !bytes.Equal(b[len(position):], checkCursor(position, f)) {
		return orders.ID{}, &inputError{"query.cursor", "must be a nextCursor of this list, with the same filter"}
	}
	return orders.ID(position[1:]), nil
}

func checkCursor(position []byte, f store.Filter) []byte {
	text := string(position) + strconv.Quote(f.CustomerID) + strconv.Quote(string(f.Status))
	sum := sha256.Sum256([]byte(text))
	return sum[:cursorCheck]
}

// nextLink is the Link header (RFC 8288) to the page after a cursor.
func nextLink(f store.Filter, limit int, cursor string) string {
	query := url.Values{"limit": {strconv.Itoa(limit)}, "cursor": {cursor}}
	if f.CustomerID != "" {
		query.Set("customerId", f.CustomerID)
	}
	if f.Status != "" {
		query.Set("status", string(f.Status))
	}
	return "</api/orders?" + query.Encode() + `>; rel="next"`
}
