package store

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Errors of cursors.
var (
	ErrBadCursor = errors.New("malformed cursor")
	// ErrCursorExpired reports that the events after a cursor are unknown: they have been pruned, or the cursor is from
	// before the database was restored elsewhere. Its holder must read the orders again and go on from Log.Start or
	// Log.End.
	ErrCursorExpired = errors.New("cursor has expired")
)

// maxCursorAt, in the year 6429, keeps a made-up cursor from having a time that Postgres cannot store.
const maxCursorAt = 1<<47 - 1

// Cursor is a position in the log: everything up to it has been read. The zero value is not a position, see Log.Start.
type Cursor struct {
	// Epoch is the log's history: a restored log has a different one.
	Epoch int64
	// Txid and ID are those of the last event that was read; 0 if there is none. They never name a transaction that wrote
	// no event: such an id may not be on disk, and a Postgres that crashes gives it out again, to events too.
	Txid uint64
	ID   int64
	// At is about when the last event was written, by the database's clock. It shows whether what follows may have been
	// pruned, and does not influence what is read.
	At time.Time
}

// later returns the later of two positions in one history.
func later(a, b Cursor) Cursor {
	if cmp.Or(cmp.Compare(a.Txid, b.Txid), cmp.Compare(a.ID, b.ID)) > 0 {
		return a
	}
	return b
}

// String returns the cursor's text form, which ParseCursor reads. Clients must not look into it.
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
