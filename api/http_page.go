package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	cursorVersion = 1
	cursorCheck   = 4 // bytes
)

// list is a list that is read in pages.
type list[T any] struct {
	path     string                                     // of the link to the next page; empty for no link
	filter   url.Values                                 // the part of the query that the link repeats
	scope    string                                     // names the list and its filter; other lists refuse its cursors
	width    int                                        // of a position, in bytes
	read     func(after []byte, limit int) ([]T, error) // after is nil for the first page
	position func(T) []byte
}

// page is one page of a list.
type page[T any] struct {
	items      []T
	next, link string // the next page's cursor and Link header, empty on the last
}

// page reads the page after a cursor, or the first page if the cursor is empty.
func (l list[T]) page(limit int, cursor string) (p page[T], err error) {
	var after []byte
	if cursor != "" {
		if after, err = openCursor(l.scope, cursor, l.width); err != nil {
			return p, err
		}
	}
	// If there is one item more than requested, there is a next page.
	if p.items, err = l.read(after, limit+1); err != nil || len(p.items) <= limit {
		return p, err
	}
	p.items = p.items[:limit]
	p.next = sealCursor(l.scope, l.position(p.items[limit-1]))
	if l.path != "" {
		p.link = nextLink(l.path, limit, p.next, l.filter)
	}
	return p, nil
}

// show makes the list in an answer. The list is never null.
func show[T, O any](p page[T], one func(T) O) []O {
	list := make([]O, len(p.items))
	for i, item := range p.items {
		list[i] = one(item)
	}
	return list
}

// filterOf makes the query of a link from names and values in turn. It leaves out empty values.
func filterOf(pairs ...string) url.Values {
	query := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			query.Set(pair[0], pair[1])
		}
	}
	return query
}

// moment formats a time for a query; empty for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// sealCursor makes a cursor from a position in a list. A short checksum covers the position and the list's scope, so
// that a damaged cursor, or one of a different list, is refused. A cursor is not a secret and grants nothing.
func sealCursor(scope string, position []byte) string {
	b := append([]byte{cursorVersion}, position...)
	return base64.RawURLEncoding.EncodeToString(append(b, checkCursor(b, scope)...))
}

// openCursor returns the position, which has length bytes.
func openCursor(scope, cursor string, length int) ([]byte, error) {
	// Strict, so that a cursor has only one text.
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

// nextLink returns the header Link (RFC 8288) to the page after a cursor.
func nextLink(path string, limit int, cursor string, query url.Values) string {
	query.Set("limit", strconv.Itoa(limit))
	query.Set("cursor", cursor)
	return "<" + path + "?" + query.Encode() + `>; rel="next"`
}
