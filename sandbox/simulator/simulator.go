// Package simulator is the four providers of docs/providers.md behind one address: payment, inventory, shipping and
// e-mail, with a durable ledger of every effect that really happened, and faults that can be changed at run time.
// `millrace simulate` and `millrace dev` run it.
//
// The ledger is the witness in every test of Millrace: it lives in another process, on its own file, and knows
// nothing of what Millrace believes. Only cmd and tests import this package; it imports orders and sandbox/private.
package simulator

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// Config configures a simulator. The zero value keeps its ledger in memory.
type Config struct {
	Path   string           // the ledger file, of one process at a time; empty: memory only
	Logger *slog.Logger     // nil: no log
	Now    func() time.Time // the time of effects; nil: time.Now
	Seed   uint64           // of the fault dice: the same calls in the same order meet the same faults
}

// Simulator is the four providers. Its methods may be called at the same time.
type Simulator struct {
	log     *slog.Logger
	now     func() time.Time
	dice    *dice
	journal *journal
	closed  context.Context // ends with Close, so that calls that hang do not outlive it
	close   context.CancelFunc

	mu       sync.Mutex // guards what follows; no I/O happens under it
	books    *books
	arrivals map[slot]*arrival
}

// Open starts a simulator in the state that its ledger file describes, also after a kill -9. Faults and counts of
// sends start from nothing.
//
// Errors: private.ErrNotPrivate; the file cannot be read or written, or a line of it other than the last is damaged.
func Open(c Config) (*Simulator, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	books := newBooks()
	journal, err := openJournal(c.Path, books.apply)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	c.Logger.Info("simulator opened", "path", c.Path, "effects", len(books.ledger))

	closed, cancel := context.WithCancel(context.Background())
	return &Simulator{
		log: c.Logger, now: c.Now, dice: newDice(c.Seed), journal: journal, closed: closed, close: cancel,
		books: books, arrivals: map[slot]*arrival{},
	}, nil
}

// Close writes what is not on disk yet and ends the calls that hang. Calls that come later are answered 500.
func (s *Simulator) Close() error {
	s.close()
	return s.journal.close()
}

// SetFaults replaces the faults of all providers. It changes nothing if one of them is invalid.
func (s *Simulator) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.dice.set(f)
	s.log.Info("faults changed", "faults", f)
	return nil
}

// Handler serves the providers under /payments, /inventory, /shipping and /email, and the simulator's own endpoints.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, f func(*http.Request) answer) { mux.Handle(pattern, handle(f)) }

	for _, o := range operations() {
		route("POST "+basePath(o.provider)+o.path, s.operate(o))
	}
	for _, p := range orders.Providers() {
		route("GET "+basePath(p)+"/operations", s.listOperations(p))
		route("GET "+basePath(p)+"/operations/{key}", s.lookUp(p))
	}
	route("GET /inventory/stock", s.getStock)
	route("PUT /inventory/stock", s.putStock)
	route("PUT /inventory/prices", s.putPrice)

	route("GET /ledger", s.getLedger)
	route("GET /ledger/keys", s.getKeys)
	route("GET /ledger/summary", s.getSummary)
	route("GET /faults", s.getFaults)
	route("PUT /faults", s.putFaults)
	route("GET /health", func(*http.Request) answer { return ok(map[string]string{"status": "ok"}) })
	route("/", func(*http.Request) answer {
		return problem(http.StatusNotFound, "not_found", "there is no such endpoint; see docs/providers.md")
	})
	return mux
}

func basePath(p orders.Provider) string {
	if p == orders.Payment {
		return "/payments"
	}
	return "/" + string(p)
}
