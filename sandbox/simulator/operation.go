package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/millrace-orders/millrace/orders"
)

// operation is a row of the contract: one POST below its provider's base URL. Each provider's file has its rows, with
// their bodies and rules.
type operation struct {
	provider orders.Provider
	path     string
	name     string // in the ledger and in faults
	undoes   bool   // a key that it names must no longer take effect
	body     func() body
}

func operations() []operation {
	return slices.Concat(paymentOperations(), inventoryOperations(), shippingOperations(), emailOperations())
}

// body is the request of one operation, with its provider's rules.
type body interface {
	check() error            // of the form: an error is answered with 400 and forgotten
	order() string           // the order's id
	decide(b *books) verdict // by the content: it only reads the books
}

// call is one arrival of an operation at a provider.
type call struct {
	operation
	key    string
	sha256 string
	body   body
}

func (c call) slot() slot { return slot{c.provider, c.key} }

// operate is the common path of all operations.
func (s *Simulator) operate(o operation) func(*http.Request) answer {
	return func(r *http.Request) answer {
		luck := s.dice.roll(o.provider, o.name)
		if luck.down {
			return dropped
		}
		c, err := o.read(r)
		if err != nil {
			return badRequest(err)
		}
		if !s.arrive(c) {
			return problem(http.StatusUnprocessableEntity, "key_reused", "the key was sent before with another request")
		}
		if a, struck := s.strike(r.Context(), luck); struck {
			return a
		}
		if luck.garble && luck.vain {
			return garbled()
		}
		outcome, err := s.settle(c, luck)
		if err != nil {
			return s.ledgerFailed(err)
		}
		if luck.lose {
			return dropped
		}
		if luck.garble {
			return garbled()
		}
		if s.sticks(c, luck.stick) {
			return problem(http.StatusInternalServerError, "internal_error", "stickyRate struck; it is done")
		}
		return outcome.answer()
	}
}

// garbled returns an answer that looks like a success and has no field of the contract.
func garbled() answer {
	return ok(struct {
		Status string `json:"status"`
	}{"pending"})
}

func (o operation) read(r *http.Request) (call, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || len(key) > orders.MaxIdempotencyKey {
		return call{}, fmt.Errorf("the Idempotency-Key header must have 1 to %d bytes", orders.MaxIdempotencyKey)
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return call{}, fmt.Errorf("read the body: %w", err)
	}
	body := o.body()
	if err := decode(raw, body); err != nil {
		return call{}, err
	}
	if err := body.check(); err != nil {
		return call{}, err
	}
	sum := sha256.Sum256(raw)
	return call{operation: o, key: key, sha256: hex.EncodeToString(sum[:]), body: body}, nil
}

// settle returns the outcome of the call's key, once it is on disk. The first send decides, and every other send gets
// the same outcome, including concurrent ones. A send that finds an outcome that is not yet on disk waits for it:
// otherwise it would report an effect that a crash can still undo.
func (s *Simulator) settle(c call, l luck) (*record, error) {
	outcome, err := s.outcome(c, l)
	if err != nil {
		return nil, err
	}
	return outcome, s.journal.sync(outcome.sequence)
}

func (s *Simulator) outcome(c call, l luck) (*record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome, known := s.books.outcomes[c.slot()]; known {
		return outcome, nil
	}
	outcome := s.decide(c, l)
	return outcome, s.enter(outcome)
}

// decide makes the outcome of a key that has none.
func (s *Simulator) decide(c call, l luck) *record {
	var v verdict
	if s.books.undone[c.slot()] {
		v = refused("undone") // the undo came first: docs/providers.md, rule 4
	} else {
		v = c.body.decide(s.books)
	}
	if l.expire && v.Kind == effect && c.name == capture {
		v = refused(authorizationExpired)
		v.Entry.RefersTo = c.body.(*captureBody).AuthorizationKey
	}
	if l.refuse && v.Kind == effect { // an undo with nothing to undo succeeds by rule 4
		v = refused("provider_refused")
	}

	e := v.Entry
	e.Provider, e.Operation, e.Key, e.OrderID = c.provider, c.name, c.key, c.body.order()
	e.RequestSHA256, e.At = c.sha256, s.now().UTC()
	if v.Kind != refusal {
		e.ID = effectID(c)
	}
	return &record{Kind: v.Kind, Code: v.Code, Entry: e}
}

// enter adds a record to the journal and the books. The caller holds the lock, so both have the same sequence.
func (s *Simulator) enter(r *record) (err error) {
	if r.sequence, err = s.journal.append(r); err == nil {
		s.books.apply(r)
	}
	return err
}

// effectID returns the provider's own id of an effect. It is derived from the key, so that a run can be repeated
// exactly.
func effectID(c call) string {
	sum := sha256.Sum256([]byte(string(c.provider) + " " + c.key))
	return c.name + "_" + hex.EncodeToString(sum[:8])
}

// lookUp answers a question about a key's outcome.
func (s *Simulator) lookUp(p orders.Provider) func(*http.Request) answer {
	return func(r *http.Request) answer {
		if a, struck := s.strike(r.Context(), s.dice.roll(p, "")); struck {
			return a
		}
		s.mu.Lock()
		outcome, known := s.books.outcomes[slot{p, r.PathValue("key")}]
		s.mu.Unlock()
		if !known {
			return problem(http.StatusNotFound, "not_found", "the key has not arrived, or is in progress")
		}
		if err := s.journal.sync(outcome.sequence); err != nil {
			return s.ledgerFailed(err)
		}
		return outcome.state()
	}
}

func (s *Simulator) ledgerFailed(err error) answer {
	if !errors.Is(err, errClosed) {
		s.log.Error("ledger failed", "err", err)
	}
	return problem(http.StatusInternalServerError, "ledger_failed", "the ledger cannot be written")
}
