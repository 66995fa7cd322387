package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	cursorVersion = 1
	cursorCheck   = 4 // bytes
)

// encodeCursor says where a page of a list ended. It names the filter as well, by a short checksum: a cursor that is
// damaged or belongs to another list is found out. It is no secret and grants nothing.
func encodeCursor(f store.Filter, last orders.ID) string { return sealCursor(scope(f), last[:]) }

func decodeCursor(f store.Filter, cursor string) (id orders.ID, err error) {
	position, err := openCursor(scope(f), cursor, len(id))
	copy(id[:], position)
	return id, err
}

// scope tells the lists of orders apart by their filters.
func scope(f store.Filter) string {
	text := strconv.Quote(f.CustomerID) + strconv.Quote(string(f.Status))
	if f.Cause != (orders.Cause{}) {
		text += f.Cause.String()
	}
	if !f.From.IsZero() || !f.To.IsZero() {
		text += moment(f.From) + moment(f.To)
	}
	return text
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// sealCursor makes a cursor of a position in a list that a scope names.
func sealCursor(scope string, position []byte) string {
	b := append([]byte{cursorVersion}, position...)
	return base64.RawURLEncoding.EncodeToString(append(b, checkCursor(b, scope)...))
}

// openCursor returns the position, which has length bytes.
func openCursor(scope, cursor string, length int) ([]byte, error) {
	// Strict: two texts for one cursor would be one too many.
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != 1+length+cursorCheck || b[0] != cursorVersion {
		return nil, badInput("query.cursor", "must be a nextCursor of this list")
	}
	position, check := b[:1+length], b[1+length:]
	if !bytes.Equal(check, checkCursor(position, scope)) {
		return nil, badInput("query.cursor", "must be a nextCursor of this list, with the same filter")
	}
	return position[1:], nil
}

func checkCursor(position []byte, scope string) []byte {
	sum := sha256.Sum256([]byte(string(position) + scope))
	return sum[:cursorCheck]
}

// nextLink is the Link header (RFC 8288) to the page after a cursor.
func nextLink(path string, limit int, cursor string, query url.Values) string {
	query.Set("limit", strconv.Itoa(limit))
	query.Set("cursor", cursor)
	return "<" + path + "?" + query.Encode() + `>; rel="next"`
}
