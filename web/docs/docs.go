// Package docs serves the API reference at /docs: Swagger UI over the service's own /openapi.json, from the binary.
// Nothing comes from a CDN, so the reference works offline and a reader's browser contacts no other server.
//
// The two big files are embedded as gzip and mostly sent as they are. To take a newer Swagger UI, run in web/docs:
//
//	npm pack swagger-ui-dist@5.35.0 && tar xzf swagger-ui-dist-*.tgz
//	cd swagger-ui && cp ../package/{LICENSE,NOTICE,swagger-ui-bundle.js.LICENSE.txt} .
//	for f in swagger-ui.css swagger-ui-bundle.js; do gzip -9nc ../package/$f >$f.gz; done
package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed index.html init.js docs.css swagger-ui
var files embed.FS

// policy lets the page load and call this origin only, and forbids inline script and style. Swagger UI draws its icons
// from data: URLs. The last three are not covered by default-src.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is one file under /docs/.
type asset struct {
	contentType string
	etag        string
	gzipped     []byte                 // nil where the file is too small to bother
	plain       func() ([]byte, error) // unpacks a gzipped file once, when the first client asks for that
}

// Handler serves GET and HEAD of /docs, which redirects, and of everything under /docs/. Mount it at both without
// stripping the prefix:
//
//	r.Handle("/docs", h)
//	r.Handle("/docs/*", h)
//
// It panics if a file is missing from the binary, which the package's test would have found.
func Handler() http.Handler {
	const (
		css  = "text/css; charset=utf-8"
		html = "text/html; charset=utf-8"
		js   = "text/javascript; charset=utf-8"
		text = "text/plain; charset=utf-8"
	)
	assets := map[string]asset{
		"/docs/":                     load("index.html", html),
		"/docs/docs.css":             load("docs.css", css),
		"/docs/init.js":              load("init.js", js),
		"/docs/swagger-ui.css":       load("swagger-ui/swagger-ui.css.gz", css),
		"/docs/swagger-ui-bundle.js": load("swagger-ui/swagger-ui-bundle.js.gz", js),

		// Each copy comes with its licences; the bundle's first line points at the third.
		"/docs/LICENSE":                          load("swagger-ui/LICENSE", text),
		"/docs/NOTICE":                           load("swagger-ui/NOTICE", text),
		"/docs/swagger-ui-bundle.js.LICENSE.txt": load("swagger-ui/swagger-ui-bundle.js.LICENSE.txt", text),
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")

		a, found := assets[r.URL.Path]
		switch {
		case r.URL.Path != "/docs" && !found:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		case !found:
			http.Redirect(w, r, "/docs/", http.StatusMovedPermanently)
		default:
			a.serve(w, r)
		}
	})
}

// load reads an embedded file, gzipped if its name says so.
func load(name, contentType string) asset {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("docs: %v", err))
	}
	sum := sha256.Sum256(content)
	a := asset{contentType: contentType, etag: hex.EncodeToString(sum[:12])}
	if !strings.HasSuffix(name, ".gz") {
		a.plain = func() ([]byte, error) { return content, nil }
		return a
	}
	a.gzipped = content
	a.plain = sync.OnceValues(func() ([]byte, error) { return gunzip(content) })
	return a
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// The browser keeps its copy and asks each time whether it is current: a 304 costs little, and after a deploy no page
	// mixes two versions.
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", a.contentType)
	if a.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			h.Set("Content-Encoding", "gzip")
			// Two encodings are two representations, so the strong tags must differ.
			h.Set("ETag", `"`+a.etag+`-gzip"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.gzipped))
			return
		}
	}
	content, err := a.plain()
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h.Set("ETag", `"`+a.etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("read gzip header: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return plain, nil
}

// acceptsGzip follows RFC 9110 section 12.5.3: a weight of zero refuses, and gzip by name counts before "*".
func acceptsGzip(h http.Header) bool {
	accepts := false
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight(params) > 0
		case "*":
			accepts = weight(params) > 0
		}
	}
	return accepts
}

// weight is the q parameter of a coding: 1 where there is none, 0 where it cannot be read.
func weight(params string) float64 {
	name, value, found := strings.Cut(params, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return 0
	}
	return q
}
