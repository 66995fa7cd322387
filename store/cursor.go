package store

import (
	"errors"
	"fmt"
	"time"
)

// Errors of cursors.
var (
	ErrBadCursor = errors.New("malformed cursor")
	// ErrCursorExpired says that nobody can tell any more what came after a cursor: it has been pruned, or the cursor
	// is from before the database was restored elsewhere. Whoever held it must look at the orders themselves and go on
	// from Store.LogStart or Store.LogEnd.
	ErrCursorExpired = errors.New("cursor has expired")
)

// maxCursorAt, in the year 6429, keeps a made-up cursor from being a time that Postgres does not know.
const maxCursorAt = 1<<47 - 1

// Cursor is a place in the log: everything up to it has been read. The zero value is no place, see Store.LogStart.
type Cursor struct {
	// Epoch is the log's history: a restored log has another.
	Epoch int64
	// Txid and ID are those of the event before the place; 0 if there is none. They are never those of a transaction that
	// wrote no event: such ids may not be on disk, and a Postgres that crashes gives them out again, to events too.
	Txid uint64
	ID   int64
	// At is about when the place was written, by the database's clock. It tells whether what follows may have been pruned,
	// and decides about nothing that is read.
	At time.Time
}

// String is the cursor's text form, which ParseCursor reads. Clients must not look into it.
func (c Cursor) String() string {
	return fmt.Sprintf("%x-%x-%x-%x", c.Epoch, c.Txid, c.ID, c.At.UnixMilli())
}

// ParseCursor reads what String wrote. Error: ErrBadCursor.
func ParseCursor(text string) (Cursor, error) {
	var c Cursor
	var at int64
	if n, err := fmt.Sscanf(text, "%x-%x-%x-%x", &c.Epoch, &c.Txid, &c.ID, &at); n != 4 || err != nil {
		return Cursor{}, ErrBadCursor
	}
	c.At = time.UnixMilli(at).UTC()
	if c.String() != text || c.ID < 0 || at < 0 || at > maxCursorAt {
		return Cursor{}, ErrBadCursor
	}
	return c, nil
}
