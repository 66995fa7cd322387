// Package board is a page for operators: where the deployment stands, what needs a person, and what to do about it. It
// is for the operations address, which authenticates callers, writes the audit log, and refuses requests of other
// sites. Pages are made on the server. They work without a script, which only keeps them current and draws charts.
//
// board stands on orders and store. It knows no worker and no provider.
package board

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/store"
)

// Prefix is where the board is served.
const Prefix = "/board/"

// Config says what the board works with.
type Config struct {
	Store *store.Store
	// Caller returns the caller of a request, which the operations address has authenticated.
	Caller  func(*http.Request) Caller
	Now     func() time.Time // the database's clock
	Logger  *slog.Logger
	Version string
	// Server reads the state of the database's server. nil: the store does.
	Server func(context.Context) (store.ServerHealth, error)
	// Troubles returns what troubles this process, without the database. nil: nothing does.
	Troubles func() []store.Trouble
}

// Caller is the caller of a request.
type Caller struct {
	store.Actor

	Operates bool // it may act; otherwise it may look
}

// policy lets the pages load and call this origin only, and forbids inline script and style. The last three are not
// covered by default-src.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// board is the handler.
type board struct {
	config Config
	pages  *pages
	assets map[string]asset
	quick  *sample[quick]
	slow   *sample[slow]
	hour   *sample[store.Heard]
}

// New makes the handler of everything below Prefix. It panics if an embedded page is wrong, which any test finds.
func New(c Config) http.Handler { return newBoard(c, time.Now) }

// newBoard makes the handler with a clock that says how old a measurement is.
func newBoard(c Config, now func() time.Time) http.Handler {
	if c.Server == nil {
		c.Server = c.Store.Server.Health
	}
	b := &board{config: c, assets: loadAssets()}
	b.pages = loadPages(b.assets)
	b.quick = &sample[quick]{now: now, least: quickFor, measure: b.readQuick}
	b.slow = &sample[slow]{now: now, least: slowFor, measure: b.readSlow}
	b.hour = &sample[store.Heard]{now: now, least: hourFor, measure: b.readHour}

	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"{$}", b.overview)
	mux.HandleFunc("GET "+Prefix+"now", b.now)
	mux.HandleFunc("GET "+Prefix+"history", b.history)
	mux.HandleFunc("GET "+Prefix+"lanes/{provider}", b.lane)
	mux.HandleFunc("POST "+Prefix+"lanes/{provider}/pause", b.pauseLane)
	mux.HandleFunc("POST "+Prefix+"lanes/{provider}/resume", b.resumeLane)
	mux.HandleFunc("GET "+Prefix+"attention", b.attention)
	mux.HandleFunc("POST "+Prefix+"attention/dry-run", b.dryRun)
	mux.HandleFunc("POST "+Prefix+"attention/redrive", b.redrive)
	mux.HandleFunc("GET "+Prefix+"findings", b.findings)
	mux.HandleFunc("GET "+Prefix+"webhooks", b.webhooks)
	mux.HandleFunc("GET "+Prefix+"audit", b.audit)
	mux.HandleFunc("GET "+Prefix+"search", b.search)
	mux.HandleFunc("GET "+Prefix+"orders/{id}", b.order)
	mux.HandleFunc("GET "+Prefix+"assets/{name}", b.asset)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	})
}

// readTimeout is how long the reads of one page may take.
const readTimeout = 5 * time.Second

// fail answers with a page that says what could not be read. Its reader is often here because the database is down.
func (b *board) fail(w http.ResponseWriter, r *http.Request, err error) {
	b.config.Logger.WarnContext(r.Context(), "board could not read the database", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", "1")
	var known []store.Trouble
	if b.config.Troubles != nil {
		known = b.config.Troubles()
	}
	b.show(w, r, http.StatusServiceUnavailable, "unavailable", "The database does not answer", known)
}

// missing answers that there is no such thing.
func (b *board) missing(w http.ResponseWriter, r *http.Request, what string) {
	b.show(w, r, http.StatusNotFound, "missing", "Not found", what)
}

// operates answers 403 to a caller that may only look. The operations address refuses such callers before; this is the
// second door.
func (b *board) operates(w http.ResponseWriter, r *http.Request) bool {
	if b.config.Caller(r).Operates {
		return true
	}
	b.show(w, r, http.StatusForbidden, "missing", "Forbidden", "Your key may look at the board, and not act.")
	return false
}
