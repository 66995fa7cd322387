package api

import (
	"mime"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/orders"
)

const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
	mediaLines  = "application/x-ndjson"
)

// etag is the entity tag of an order: two answers with the same version are the same answer.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matchesETag compares weakly, as If-None-Match asks (RFC 9110, 13.1.2).
func matchesETag(ifNoneMatch, tag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

// parseIdempotencyKey accepts a key as the draft has it, a quoted structured-field string (RFC 9651), and bare, as
// everybody sends it. Both are the same key.
func parseIdempotencyKey(header string) (string, error) {
	key := header
	if strings.HasPrefix(header, `"`) {
		var ok bool
		if key, ok = unquote(header); !ok {
			return "", &inputError{"header.Idempotency-Key", "has a quote that is not closed, or more after it"}
		}
	}
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
	if key == "" || len(key) > orders.MaxIdempotencyKey || !printable {
		return "", &inputError{"header.Idempotency-Key", "must be 1 to 255 visible ASCII characters"}
	}
	return key, nil
}

// unquote reads a structured-field string.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), i == len(s)-1
		case '\\':
			i++
			if i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", false
}

// quality is the weight that an Accept header gives to a media type (RFC 9110, 12.5.1): 0 if it refuses it. The most
// specific range counts.
func quality(accept, media string) float64 {
	if strings.TrimSpace(accept) == "" {
		return 1
	}
	major, _, _ := strings.Cut(media, "/")
	best, q := 0, 0.0
	for text := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(text)
		if err != nil {
			continue
		}
		specific := map[string]int{media: 3, major + "/*": 2, "*/*": 1}[name]
		if specific <= best {
			continue
		}
		best, q = specific, 1
		if weight, found := params["q"]; found {
			if q, err = strconv.ParseFloat(weight, 64); err != nil {
				q = 0
			}
		}
	}
	return q
}
