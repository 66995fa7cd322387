package board

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

// Files of npm are as npm has them: `make board-assets` fetches them again, and SHA256SUMS has their checksums.
//
//go:embed npm own page
var files embed.FS

type asset struct {
	contentType string
	content     []byte
	version     string // of the content: it is in the address, so that a browser may keep its copy
}

// loadAssets reads the files that browsers load. It panics if one is missing from the binary.
func loadAssets() map[string]asset {
	const (
		css = "text/css; charset=utf-8"
		js  = "text/javascript; charset=utf-8"
		txt = "text/plain; charset=utf-8"
		svg = "image/svg+xml"
	)
	assets := map[string]asset{}
	for name, contentType := range map[string]string{
		"npm/htmx.min.js": js, "npm/htmx.LICENSE": txt, "npm/uPlot.iife.min.js": js, "npm/uPlot.min.css": css,
		"npm/uPlot.LICENSE": txt, "own/board.css": css, "own/board.js": js, "own/icon.svg": svg,
	} {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(fmt.Sprintf("board: %v", err))
		}
		sum := sha256.Sum256(content)
		assets[name[len("npm/"):]] = asset{contentType, content, hex.EncodeToString(sum[:8])}
	}
	return assets
}

func (b *board) asset(w http.ResponseWriter, r *http.Request) {
	a, found := b.assets[r.PathValue("name")]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("ETag", `"`+a.version+`"`)
	w.Header().Set("Cache-Control", "private, no-cache")
	if r.URL.Query().Get("v") == a.version {
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}
