package orders

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CustomerIDPattern says in a regular expression, for the API's document, what CheckCustomerID says as far as one can.
const CustomerIDPattern = `^(?:` + seen + `|` + seenOrDot + inside + `*` + seen + `|` + seen + inside + `*` +
	seenOrDot + `|` + seenOrDot + inside + `+` + seenOrDot + `)$`

const (
	seen      = `[^\p{C}\p{Z}.]`
	seenOrDot = `[^\p{C}\p{Z}]`
	inside    = `(?:` + seenOrDot + `| )`
)

// CheckCustomerID returns what is wrong with a customer's id, nothing if it is good. It is the one rule for every place
// that a new id comes in by; what is stored already is read whatever it is. Ids are compared by people, stand in logs
// and are a segment of a path: two that look the same must be the same, and URL parsers remove the segments . and ..
func CheckCustomerID(id string) string {
	switch {
	case !utf8.ValidString(id) || id == "" || utf8.RuneCountInString(id) > MaxTextLength:
		return fmt.Sprintf("must have 1 to %d characters", MaxTextLength)
	case strings.ContainsFunc(id, invisible):
		return "must have visible characters only, and plain spaces"
	case strings.Trim(id, " ") != id:
		return "must not begin or end with a space"
	case id == "." || id == "..":
		return "must not be . or .., which are no names in an address"
	}
	return ""
}

// invisible reports whether a character is neither seen nor a plain space: controls, zero-width and bidirectional
// ones, fillers and other spaces, what is not assigned, and the replacement of what was broken.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		strings.ContainsRune("\u2800\ufffc\ufffd", r)
}

// CheckLine returns what is wrong with a text that people read in a list or in a history, such as a reason or a name:
// it must be one line that shows what it says. Texts that are only passed on may be anything that can be stored.
func CheckLine(text string) string {
	switch {
	case !utf8.ValidString(text) || utf8.RuneCountInString(text) > MaxTextLength:
		return fmt.Sprintf("must have at most %d characters", MaxTextLength)
	case strings.ContainsFunc(text, breaks):
		return "must be one line without control characters"
	case text != "" && strings.TrimFunc(text, func(r rune) bool { return r == ' ' || invisible(r) }) == "":
		return "must not be blank"
	}
	return ""
}

// breaks reports whether a character ends a line, controls a terminal, or turns the text after it around.
func breaks(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
