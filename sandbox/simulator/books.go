package simulator

import (
	"net/http"

	"github.com/millrace-orders/millrace/orders"
)

// slot is where a key lives: providers know nothing of each other's keys.
type slot struct {
	provider orders.Provider
	key      string
}

// kind says what a record is.
type kind string

const (
	effect       kind = "effect"        // the key took effect
	nothing      kind = "nothing"       // an undo that succeeded because there was nothing to undo
	refusal      kind = "refusal"       // the key is refused for good
	bytesChanged kind = "bytes_changed" // a key came back with other bytes
	stockSet     kind = "stock_set"     // the stock of Items was set
	priceSet     kind = "price_set"     // the price of Items was set
)

// record is a line of the journal: everything that changes the books.
type record struct {
	Kind kind   `json:"kind"`
	Code string `json:"code,omitempty"` // of a refusal, and of an undo whose key was never seen
	Entry

	sequence uint64 // in the journal of this run; 0: read from disk
}

// verdict is what a provider's rules say about a request.
type verdict struct {
	Kind  kind
	Code  string
	Entry Entry // what is special about the operation; the common path fills in the rest
}

func done(e Entry) verdict             { return verdict{Kind: effect, Entry: e} }
func refused(code string) verdict      { return verdict{Kind: refusal, Code: code} }
func nothingToUndo(key string) verdict { return verdict{Kind: nothing, Entry: Entry{RefersTo: key}} }

// neverSeen is nothingToUndo for a key that never took effect here. The difference matters to a caller that knows
// better.
func neverSeen(key string) verdict {
	return verdict{Kind: nothing, Code: neverSeenCode, Entry: Entry{RefersTo: key}}
}

const neverSeenCode = "never_seen"

// outcome is the body of an answer about a key.
type outcome struct {
	State   string `json:"state,omitempty"` // of an answer to a question
	ID      string `json:"id,omitempty"`
	Code    string `json:"code,omitempty"`
	Nothing bool   `json:"nothing,omitempty"`
}

// answer is the answer to every send of the key.
func (r *record) answer() answer {
	if r.Kind != refusal {
		return ok(outcome{ID: r.ID, Nothing: r.Code == neverSeenCode})
	}
	status := http.StatusUnprocessableEntity
	if noMoney(r.Code) {
		status = http.StatusPaymentRequired
	}
	return problem(status, r.Code, r.Operation+" was refused")
}

// state is the answer to the question what became of the key.
func (r *record) state() answer {
	if r.Kind == refusal {
		return ok(outcome{State: "refused", Code: r.Code})
	}
	return ok(outcome{State: "succeeded", ID: r.ID, Nothing: r.Code == neverSeenCode})
}

// books are the state of all providers. Apply alone changes them, in the same way whether a record is new or is read
// from disk; so what a restart finds is what there was.
type books struct {
	ledger   []*record // the effects, in order
	changed  []*record // the keys that came back with other bytes
	outcomes map[slot]*record
	undone   map[slot]bool
	drawn    map[slot]orders.Money // captured of an authorisation, refunded of a capture
	shelves  map[int64]*shelf
	undoing  map[string]bool // the operations that undo
}

func newBooks() *books {
	b := &books{
		outcomes: map[slot]*record{},
		undone:   map[slot]bool{},
		drawn:    map[slot]orders.Money{},
		shelves:  map[int64]*shelf{},
		undoing:  map[string]bool{},
	}
	for _, o := range operations() {
		b.undoing[o.name] = o.undoes
	}
	return b
}

func (b *books) apply(r *record) {
	switch r.Kind {
	case effect:
		b.ledger = append(b.ledger, r)
		b.post(r)
	case bytesChanged:
		b.changed = append(b.changed, r)
		return
	case stockSet, priceSet:
		b.stockUp(r)
		return
	case nothing, refusal:
	}
	b.outcomes[slot{r.Provider, r.Key}] = r
	if b.undoing[r.Operation] && r.Kind != refusal || r.Code == authorizationExpired {
		b.undone[slot{r.Provider, r.RefersTo}] = true
	}
}

// post moves the money or the goods of an effect.
func (b *books) post(r *record) {
	switch r.Operation {
	case capture, refund:
		b.drawn[slot{r.Provider, r.RefersTo}] += r.Money()
	case reserve:
		b.take(r.Items, 1)
	case release:
		b.take(r.Items, -1)
	}
}

// find returns the effect that a key had, or nil if it had none of this operation.
func (b *books) find(p orders.Provider, operation, key string) *record {
	r := b.outcomes[slot{p, key}]
	if r == nil || r.Kind != effect || r.Operation != operation {
		return nil
	}
	return r
}
