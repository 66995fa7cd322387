package orders

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CustomerIDPattern is CheckCustomerID as a regular expression for the OpenAPI document, as far as one can express it.
const CustomerIDPattern = `^(?:` + seen + `|` + seenOrDot + inside + `*` + seen + `|` + seen + inside + `*` +
	seenOrDot + `|` + seenOrDot + inside + `+` + seenOrDot + `)$`

const (
	seen      = `[^\p{C}\p{Z}.]`
	seenOrDot = `[^\p{C}\p{Z}]`
	inside    = `(?:` + seenOrDot + `| )`
)

// CheckCustomerID returns the problem with a customer's id, or "" if it is valid. Every input of a new id is checked
// with this one rule. Stored ids are read whatever they are. People compare ids, logs contain them, and paths have them
// as a segment. So ids that look the same must be the same, and URL parsers remove the segments "." and "..".
func CheckCustomerID(id string) string {
	switch {
	case !utf8.ValidString(id) || id == "" || utf8.RuneCountInString(id) > MaxTextLength:
		return fmt.Sprintf("must have 1 to %d characters", MaxTextLength)
	case strings.ContainsFunc(id, invisible):
		return "must have visible characters only, and plain spaces"
	case strings.Trim(id, " ") != id:
		return "must not begin or end with a space"
	case id == "." || id == "..":
		return "must not be . or .., which URLs do not keep as a segment"
	}
	return ""
}

// invisible reports whether a character is neither visible nor a plain space. That covers controls, zero-width and
// bidirectional characters, fillers, other spaces, unassigned characters, and the replacement for broken text.
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) ||
		strings.ContainsRune("\u2800\ufffc\ufffd", r)
}

// CheckLine returns the problem with a text that people read in a list or in a history, such as a reason or a name.
// The text must be one line, and its appearance must not deceive. Texts that Millrace only passes on are not checked.
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

// breaks reports whether a character ends a line, controls a terminal, or reverses the text after it.
func breaks(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
