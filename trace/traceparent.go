package trace

import "strings"

// The parts of a traceparent of version 00: version, trace id, id of the parent span, and flags, with dashes between.
const (
	traceparentSize = 55
	traceIDFrom     = 3
	spanIDFrom      = 36
	flagsFrom       = 53
	// maxTraceparent bounds the header of a later version, of which the first parts are read.
	maxTraceparent = 256
)

// ParseTraceparent returns a traceparent header (W3C Trace Context) in the form of version 00, or nothing if it is not
// one. Strangers send it: it names a place in a trace, and decides nothing about what they may do.
func ParseTraceparent(header string) string {
	if len(header) < traceparentSize || len(header) > maxTraceparent ||
		header[traceIDFrom-1] != '-' || header[spanIDFrom-1] != '-' || header[flagsFrom-1] != '-' {
		return ""
	}
	version, traceID := header[:2], header[traceIDFrom:spanIDFrom-1]
	spanID, flags := header[spanIDFrom:flagsFrom-1], header[flagsFrom:traceparentSize]
	switch rest := header[traceparentSize:]; {
	case !isHex(version) || !isHex(traceID) || !isHex(spanID) || !isHex(flags), version == "ff":
		return ""
	case rest != "" && (version == "00" || rest[0] != '-'):
		return ""
	case strings.Trim(traceID, "0") == "", strings.Trim(spanID, "0") == "":
		return ""
	case version == "00":
		return header
	}
	return "00" + header[2:traceparentSize]
}

// isHex reports whether a text has the digits of the specification, which are in lower case.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// IDOf returns the id of the trace that a traceparent is of; empty for none.
func IDOf(traceparent string) string {
	if len(traceparent) < spanIDFrom {
		return ""
	}
	return traceparent[traceIDFrom : spanIDFrom-1]
}

// spanIDOf returns the id of the span that a traceparent is of; empty for none.
func spanIDOf(traceparent string) string {
	if len(traceparent) < flagsFrom {
		return ""
	}
	return traceparent[spanIDFrom : flagsFrom-1]
}
