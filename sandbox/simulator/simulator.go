// Package simulator has the four providers of docs/providers.md behind one address: payment, inventory, shipping and
// e-mail, with a durable ledger of every effect that really happened, and faults that can be changed at run time.
// `millrace simulate` and `millrace dev` run it.
//
// The ledger is the witness in every test of Millrace: it is in a different process, with a file of its own, and knows
// nothing of Millrace's state. Only cmd and tests import this package. It imports orders and sandbox/private.
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
	Path   string           // the ledger file; one process uses it at a time. Empty: memory only
	Logger *slog.Logger     // nil: no log
	Now    func() time.Time // the time of effects; nil: time.Now
	Seed   uint64           // of the fault dice: the same calls in the same sequence get the same faults
}

// Simulator has the four providers. Its methods are safe for concurrent use.
type Simulator struct {
	log     *slog.Logger
	now     func() time.Time
	dice    *dice
	journal *journal
	closed  context.Context // ends with Close, so that hanging calls do not outlive the simulator
	close   context.CancelFunc

	mu       sync.Mutex // guards the fields below; no I/O happens under it
	books    *books
	arrivals map[slot]*arrival
}

// Open starts a simulator in the state of its ledger file, also after a kill -9. Faults and counts of sends start
// empty.
//
// Errors: private.ErrNotPrivate; the file cannot be read or written, or one of its lines, other than the last, is
// damaged.
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

// Close writes the pending lines and ends hanging calls. Later calls are answered with 500.
func (s *Simulator) Close() error {
	s.close()
	return s.journal.close()
}

// SetFaults replaces the faults of all providers. If one of them is invalid, it changes nothing.
func (s *Simulator) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	s.dice.set(f)
	s.log.Info("faults changed", "faults", f)
	return nil
}

// Handler serves the providers under /payments, /inventory, /shipping and /email, and the simulator's own paths.
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
