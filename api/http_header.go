package api

import (
	"mime"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/stream"
)

const (
	mediaJSON   = "application/json"
	mediaStream = stream.MediaType
	mediaLines  = "application/x-ndjson"
)

// etag returns the entity tag of an order: two answers with the same version are equal.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matchesETag compares weakly, as If-None-Match requires (RFC 9110, 13.1.2). A malformed header matches nothing, so the
// answer is then complete.
func matchesETag(ifNoneMatch, tag string) bool {
	tags, all, ok := parseEntityTags(ifNoneMatch)
	return ok && (all || slices.ContainsFunc(tags, func(t string) bool { return strings.TrimPrefix(t, "W/") == tag }))
}

var entityTag = regexp.MustCompile(`^(?:W/)?"[!#-~\x{80}-\x{10ffff}]*"`)

// parseEntityTags reads If-Match or If-None-Match: entity tags with their quotes, or * for all. It skips empty members
// of the list (RFC 9110, 5.6.1.2), but requires one that is not empty.
func parseEntityTags(header string) (tags []string, all, ok bool) {
	const blank = " \t"
	rest := strings.Trim(header, blank)
	if rest == "*" {
		return nil, true, true
	}
	for {
		if rest = strings.TrimLeft(rest, blank+","); rest == "" {
			return tags, false, len(tags) > 0
		}
		tag := entityTag.FindString(rest)
		after := strings.TrimLeft(rest[len(tag):], blank)
		if tag == "" || after != "" && after[0] != ',' {
			return nil, false, false
		}
		tags, rest = append(tags, tag), after
	}
}

// errKeyReused is declared by the operations that take an Idempotency-Key.
var errKeyReused = problems.New(problems.Invalid, "idempotency_key_reused",
	"This Idempotency-Key was used before, with a different request. Use a new key for a new request.").
	For(orders.ErrIdempotencyMismatch)

// parseIdempotencyKey accepts a key in the form of the draft, a quoted structured-field string (RFC 9651), and without
// quotes, as most clients send it. Both forms are the same key.
func parseIdempotencyKey(header string) (string, error) {
	key := header
	if strings.HasPrefix(header, `"`) {
		var ok bool
		if key, ok = unquote(header); !ok {
			return "", badInput("header.Idempotency-Key", "has an unclosed quote, or text after the closing quote")
		}
	}
	printable := !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
	if key == "" || len(key) > orders.MaxIdempotencyKey || !printable {
		return "", badInput("header.Idempotency-Key", "must be 1 to 255 visible ASCII characters")
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

// quality returns the weight that an Accept header gives to a media type (RFC 9110, 12.5.1), or 0 if the header refuses
// the type. The most specific range counts.
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
