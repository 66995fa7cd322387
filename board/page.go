package board

import (
	"bytes"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// pages are the templates, by the name of their file.
type pages struct{ byName map[string]*template.Template }

// loadPages parses the pages. Each has the layout, and may use the parts in files that begin with "part_".
func loadPages(assets map[string]asset) *pages {
	functions := template.FuncMap{
		"asset": func(name string) string {
			return Prefix + "assets/" + name + "?v=" + assets[name].version
		},
		"moment": moment, "clock": clock, "number": number, "count": count, "counted": counted, "seconds": seconds,
		"words": words, "date": date, "bytes": size,
	}
	shared := template.Must(template.New("layout.html").Funcs(functions).
		ParseFS(files, "page/layout.html", "page/part_*.html"))
	names, err := fs.Glob(files, "page/*.html")
	if err != nil {
		panic(err)
	}
	p := &pages{map[string]*template.Template{}}
	for _, name := range names {
		base := strings.TrimSuffix(path.Base(name), ".html")
		p.byName[base] = template.Must(template.Must(shared.Clone()).ParseFS(files, name))
	}
	return p
}

// view is what every page gets.
type view struct {
	Title   string
	Page    string
	Caller  Caller
	Version string
	Now     string // the time of the page, for ages
	Query   string // of the search field
	Data    any
}

// show renders a page. It is rendered whole before its status is sent, so that an error is not half a page.
func (b *board) show(w http.ResponseWriter, r *http.Request, status int, page, title string, data any) {
	b.render(w, r, status, page, "layout.html", title, data)
}

func (b *board) render(w http.ResponseWriter, r *http.Request, status int, page, block, title string, data any) {
	v := view{
		Title: title, Page: page, Caller: b.config.Caller(r), Version: b.config.Version, Data: data,
		Now: date(b.config.Now()), Query: r.URL.Query().Get("q"),
	}
	var out bytes.Buffer
	if err := b.pages.byName[page].ExecuteTemplate(&out, block, v); err != nil {
		b.config.Logger.ErrorContext(r.Context(), "board page failed", "page", page, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}
