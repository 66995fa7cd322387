package docs_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/web/docs"
)

// get asks the handler itself: an http.Client would ask for gzip and unpack it behind the test's back.
func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	docs.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

func TestHandler(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		path, contentType, contains string
		gzipped                     bool
	}{
		{"/docs/", "text/html; charset=utf-8", "<title>Millrace API</title>", false},
		{"/docs/LICENSE", "text/plain; charset=utf-8", "Apache License", false},
		{"/docs/NOTICE", "text/plain; charset=utf-8", "SmartBear", false},
		{"/docs/docs.css", "text/css; charset=utf-8", "body {", false},
		{"/docs/init.js", "text/javascript; charset=utf-8", `url: "/openapi.json"`, false},
		{"/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8", "SwaggerUIBundle", true},
		{"/docs/swagger-ui-bundle.js.LICENSE.txt", "text/plain; charset=utf-8", "DOMPurify", false},
		{"/docs/swagger-ui.css", "text/css; charset=utf-8", ".swagger-ui", true},
	} {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()

			plain := get(t, http.MethodGet, tc.path)
			require.Equal(t, http.StatusOK, plain.StatusCode)
			require.Equal(t, tc.contentType, plain.Header.Get("Content-Type"))
			require.Equal(t, "nosniff", plain.Header.Get("X-Content-Type-Options"))
			require.Contains(t, plain.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';")
			require.Empty(t, plain.Header.Get("Content-Encoding"))
			want := body(t, plain.Body)
			require.Contains(t, want, tc.contains)

			zipped := get(t, http.MethodGet, tc.path, "Accept-Encoding", "br, gzip;q=0.8")
			require.Equal(t, http.StatusOK, zipped.StatusCode)
			require.Equal(t, tc.contentType, zipped.Header.Get("Content-Type"))
			if tc.gzipped {
				require.Equal(t, "gzip", zipped.Header.Get("Content-Encoding"))
				require.Equal(t, "Accept-Encoding", zipped.Header.Get("Vary"))
				require.NotEqual(t, plain.Header.Get("ETag"), zipped.Header.Get("ETag"))
				unzipped, err := gzip.NewReader(zipped.Body)
				require.NoError(t, err)
				require.Equal(t, want, body(t, unzipped))
			} else {
				require.Empty(t, zipped.Header.Get("Content-Encoding"))
			}

			for _, r := range []*http.Response{plain, zipped} {
				again := get(t, http.MethodGet, tc.path,
					"Accept-Encoding", r.Header.Get("Content-Encoding"), "If-None-Match", r.Header.Get("ETag"))
				require.Equal(t, http.StatusNotModified, again.StatusCode)
				require.Empty(t, body(t, again.Body))
			}

			head := get(t, http.MethodHead, tc.path)
			require.Equal(t, http.StatusOK, head.StatusCode)
			require.Empty(t, body(t, head.Body))

			post := get(t, http.MethodPost, tc.path)
			require.Equal(t, http.StatusMethodNotAllowed, post.StatusCode)
			require.Equal(t, "GET, HEAD", post.Header.Get("Allow"))
		})
	}

	t.Run("Redirect", func(t *testing.T) {
		t.Parallel()

		r := get(t, http.MethodGet, "/docs")
		require.Equal(t, http.StatusMovedPermanently, r.StatusCode)
		require.Equal(t, "/docs/", r.Header.Get("Location"))
	})

	t.Run("NotFound", func(t *testing.T) {
		t.Parallel()

		for _, path := range []string{
			"/", "/docs/docs.go", "/docs/index.html", "/docs/swagger-ui/", "/docs/swagger-ui/swagger-ui.css.gz",
			"/docs/../docs.go", "/docs//", "/openapi.json",
		} {
			r := get(t, http.MethodGet, path)
			require.Equal(t, http.StatusNotFound, r.StatusCode, path)
			require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), path)
		}
	})
}

func TestHandler_acceptEncoding(t *testing.T) {
	t.Parallel()

	for accept, want := range map[string]string{
		"":                        "",
		"*":                       "gzip",
		"*;q=0":                   "",
		"*;q=0, gzip":             "gzip",
		"GZIP":                    "gzip",
		"br":                      "",
		"deflate, gzip;q=1.0":     "gzip",
		"gzip ; q=0":              "",
		"gzip;q=0.000, *;q=1":     "",
		"gzip;q=nonsense":         "",
		"identity;q=1, x-gzip":    "gzip",
		"notgzip, gzipped;q=0.99": "",
	} {
		r := get(t, http.MethodGet, "/docs/swagger-ui.css", "Accept-Encoding", accept)
		require.Equal(t, want, r.Header.Get("Content-Encoding"), "Accept-Encoding: %q", accept)
	}
}

// The page must work under its own policy, and every file it names must be served.
func TestPage(t *testing.T) {
	t.Parallel()

	page := body(t, get(t, http.MethodGet, "/docs/").Body)
	require.NotRegexp(t, `<style|\sstyle=|\son[a-z]+=|<script>`, page)

	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		if strings.HasPrefix(link[1], "data:") || link[1] == "/openapi.json" {
			continue
		}
		require.Equal(t, http.StatusOK, get(t, http.MethodGet, link[1]).StatusCode, link[1])
	}
}
