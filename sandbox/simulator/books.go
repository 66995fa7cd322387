package simulator

import (
	"net/http"

	"github.com/millrace-orders/millrace/orders"
)

// slot identifies a key at a provider: providers do not know each other's keys.
type slot struct {
	provider orders.Provider
	key      string
}

// kind is the kind of a record.
type kind string

const (
	effect       kind = "effect"        // the key took effect
	nothing      kind = "nothing"       // an undo that succeeded because there was nothing to undo
	refusal      kind = "refusal"       // the key is refused for good
	bytesChanged kind = "bytes_changed" // a key came back with other bytes
	stockSet     kind = "stock_set"     // the stock of Items was set
	priceSet     kind = "price_set"     // the price of Items was set
)

// record is a line of the journal. All changes of the books are records.
type record struct {
	Kind kind   `json:"kind"`
	Code string `json:"code,omitempty"` // of a refusal, and of an undo whose key was never seen
	Entry

	sequence uint64 // in the journal of this run; 0: read from disk
}

// verdict is the decision of a provider's rules on a request.
type verdict struct {
	Kind  kind
	Code  string
	Entry Entry // the operation's own fields; the common path fills in the rest
}

func done(e Entry) verdict             { return verdict{Kind: effect, Entry: e} }
func refused(code string) verdict      { return verdict{Kind: refusal, Code: code} }
func nothingToUndo(key string) verdict { return verdict{Kind: nothing, Entry: Entry{RefersTo: key}} }

// neverSeen is nothingToUndo for a key that never took effect at this provider. Callers that know of an effect need to
// see the difference.
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

// answer returns the answer to every send of the key.
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

// state returns the answer to a question about the key's outcome.
func (r *record) state() answer {
	if r.Kind == refusal {
		return ok(outcome{State: "refused", Code: r.Code})
	}
	return ok(outcome{State: "succeeded", ID: r.ID, Nothing: r.Code == neverSeenCode})
}

// books are the state of all providers. Only apply changes them, in the same way for new records and for records from
// disk. So a restart restores the same state.
type books struct {
	ledger   []*record // the effects, in order
	changed  []*record // the keys that were sent again with different bytes
	outcomes map[slot]*record
	undone   map[slot]bool
	drawn    map[slot]orders.Money // captured of an authorisation, or refunded of a capture
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

// post applies an effect to the money or the goods.
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

// find returns the effect of a key in one operation; nil if it had none.
func (b *books) find(p orders.Provider, operation, key string) *record {
	r := b.outcomes[slot{p, key}]
	if r == nil || r.Kind != effect || r.Operation != operation {
		return nil
	}
	return r
}
