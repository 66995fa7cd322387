package api

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
)

// labelled records the operation for the log and the metrics.
func labelled(hctx huma.Context, next func(huma.Context)) {
	x := exchangeOf(hctx.Context())
	x.operation, x.declared = hctx.Operation().OperationID, declared(hctx.Operation())
	if strings.HasPrefix(hctx.Operation().Path, "/api/orders/{"+paramOrder+"}") {
		if id, err := orderID(hctx.Param(paramOrder)).parse(); err == nil { // the operation refuses a malformed id
			x.scope.About(id)
		}
	}
	next(hctx)
}

// strict rejects input that Huma would silently accept.
func strict(hctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(hctx)
	takes := declared(hctx.Operation()).takes
	for _, err := range [...]error{
		checkPath(r.URL.Path), checkQuery(hctx.Operation(), r.URL.RawQuery), checkHeaders(takes.headers, r.Header),
		checkAccept(takes.media, r.Header), checkMediaType(hctx.Operation(), r),
	} {
		if err != nil {
			writeProblem(w, r, err)
			return
		}
	}
	next(hctx)
}

const notStorable = "must be valid text without U+0000"

// storable reports whether Postgres can store a text.
func storable(s string) bool { return !strings.ContainsRune(s, 0) && utf8.ValidString(s) }

// unstorable returns the error of a text that the database cannot store.
func unstorable(field, text string) []orders.FieldError {
	if storable(text) {
		return nil
	}
	return []orders.FieldError{{Field: field, Message: notStorable}}
}

// line returns the error of a text that is not one readable line. People read such texts in lists and histories.
func line(field, text string) []orders.FieldError {
	if problem := orders.CheckLine(text); problem != "" {
		return []orders.FieldError{{Field: field, Message: problem}}
	}
	return nil
}

func checkPath(path string) error {
	if !storable(path) {
		return badInput("path", notStorable)
	}
	return nil
}

// checkQuery refuses a parameter that is given twice, because Huma would ignore one of the values. It refuses a
// parameter without a value, because Huma would ignore it: a program whose customerId is empty by mistake must not get
// all customers' orders.
func checkQuery(op *huma.Operation, raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return badInput("query", "must be name=value pairs, percent-encoded and joined by &")
	}
	for name, values := range query {
		switch {
		case len(values) > 1 && !repeats(op, name):
			return badInput("query."+problems.Truncate(name), "must be given once")
		case slices.ContainsFunc(values, func(v string) bool { return isNoMoment(op, name, v) }):
			return badInput("query."+problems.Truncate(name), "must be a moment after the year 1")
		case slices.Contains(values, ""):
			return badInput("query."+problems.Truncate(name), "must not be empty")
		case slices.ContainsFunc(values, func(v string) bool { return !storable(v) }):
			return badInput("query."+problems.Truncate(name), notStorable)
		}
	}
	return nil
}

// repeats reports whether a parameter of an operation is a list.
func repeats(op *huma.Operation, name string) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool {
		return p.Name == name && p.Schema.Type == huma.TypeArray
	})
}

// isNoMoment reports whether a parameter that is a moment is Go's zero time, which counts as not given.
func isNoMoment(op *huma.Operation, name, value string) bool {
	is := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool {
		return p.Name == name && p.Schema.Format == "date-time"
	})
	t, err := time.Parse(time.RFC3339Nano, value)
	return is && err == nil && t.IsZero()
}

// checkHeaders checks headers in the same way: a condition that is empty by mistake
// must not count as absent. It joins the lines of a header that is a list (RFC 9110, 5.3).
func checkHeaders(names []string, h http.Header) error {
	for _, name := range names {
		values := h.Values(name)
		if len(values) > 1 && isList(name) {
			values = []string{strings.Join(values, ", ")}
			h.Set(name, values[0])
		}
		switch {
		case len(values) > 1:
			return badInput("header."+name, "must be given once")
		case len(values) == 1 && strings.Trim(values[0], " \t") == "" && name != "Prefer": // which is then no preference
			return badInput("header."+name, "must not be empty")
		}
	}
	return nil
}

func headersOf(op *huma.Operation) (names []string) {
	for _, p := range op.Parameters {
		if p.In == "header" {
			names = append(names, p.Name)
		}
	}
	return names
}

func isList(header string) bool {
	return slices.Contains([]string{"If-Match", "If-None-Match", "Prefer"}, header)
}

// checkAccept compares Accept with the media types that the document lists for the operation.
func checkAccept(sent []string, h http.Header) error {
	accept := strings.Join(h.Values("Accept"), ",")
	if len(sent) > 0 && !slices.ContainsFunc(sent, func(media string) bool { return quality(accept, media) > 0 }) {
		return errNotAcceptable
	}
	return nil
}

// checkMediaType requires that a body is declared as JSON. Browsers send other bodies, such as forms, to other sites
// without a preflight.
func checkMediaType(op *huma.Operation, r *http.Request) error {
	if op.RequestBody == nil || r.ContentLength == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := media == mediaJSON || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	if err != nil || !isJSON {
		return errMediaType
	}
	return nil
}

// mediaTypes returns the media types of an operation's successful answers.
func mediaTypes(op *huma.Operation) (list []string) {
	for code, response := range op.Responses {
		if code[0] == '2' {
			list = slices.AppendSeq(list, maps.Keys(response.Content))
		}
	}
	return list
}
