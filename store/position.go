package store

import (
	"errors"
	"fmt"
)

// ErrBadPosition reports a text that is no position.
var ErrBadPosition = errors.New("malformed position")

// The positions that are words.
const (
	positionPrimary = "primary"
	positionAny     = "any"
)

// Position is how much of the database a caller has seen. A replica that has replayed up to it shows all of that.
//
// The zero value stands for everything: only the primary has seen it.
type Position struct {
	mark uint64 // of the timeline
	lsn  uint64 // where the write-ahead log was
	any  bool   // the caller has seen nothing that it wants to see again
}

// AnyPosition is the position of a caller that any replica will do for.
func AnyPosition() Position { return Position{any: true} }

// String returns the position's text form, which ParsePosition reads. Of two texts that begin with the same mark, the
// later position is the greater text.
func (p Position) String() string {
	switch {
	case p.any:
		return positionAny
	case p == Position{}:
		return positionPrimary
	}
	return fmt.Sprintf("%016x-%016x", p.mark, p.lsn)
}

// ParsePosition reads what String wrote. The empty text is the zero value. Error: ErrBadPosition.
func ParsePosition(text string) (p Position, err error) {
	switch text {
	case "", positionPrimary:
		return p, nil
	case positionAny:
		return AnyPosition(), nil
	}
	n, err := fmt.Sscanf(text, "%x-%x", &p.mark, &p.lsn)
	if n != 2 || err != nil || p.mark == 0 || p.String() != text {
		return Position{}, ErrBadPosition
	}
	return p, nil
}
