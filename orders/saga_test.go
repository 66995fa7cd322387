package orders_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace-orders/millrace/orders"
)

// world is what the providers know: which steps took effect and which keys were undone. It follows the contract of
// docs/providers.md, so a send may take effect although its answer is lost, and an undo also bars a late original.
type world struct{ done, barred map[orders.StepName]bool }

func (w world) send(name orders.StepName) (took bool) {
	for _, spec := range orders.Specs() {
		if spec.Undo == name {
			w.barred[spec.Name] = true
			delete(w.done, spec.Name)
			return true
		}
	}
	if w.barred[name] {
		return false
	}
	w.done[name] = true
	return true
}

// TestSaga runs orders against random providers: answers in any order, refused, lost before or after they took
// effect, delivered twice, or late; customers who cancel at any moment. Whatever happens, the order comes to rest.
// At rest no customer has paid for goods that were not sent, and no stock is reserved in vain.
func TestSaga(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := world{done: map[orders.StepName]bool{}, barred: map[orders.StepName]bool{}}
		p := placement()
		p.CustomerEmail = rapid.SampledFrom([]string{"", "ada@example.com"}).Draw(t, "e-mail")
		if rapid.IntRange(0, 3).Draw(t, "free") == 0 {
			for i := range p.Items {
				p.Items[i].Price = 0
			}
		}
		placed := orders.Place(p, orders.NewID(), epoch)
		o, log := placed.Order, []orders.Event{placed.Event}
		was := []orders.Order{o}
		undoFails := rapid.Bool().Draw(t, "undo may fail")
		apply := func(e orders.Event) {
			e.OrderID, e.Generation, e.At = o.ID, 1, epoch.Add(time.Duration(o.Version)*time.Second)
			if d, err := orders.Decide(o, e); err == nil {
				require.Equal(t, o.Version+1, d.Event.Version)
				o = d.Order
				log, was = append(log, d.Event), append(was, o)
				require.Empty(t, orders.Verify(o, log, time.Time{}))
				// What a shipment was promised on is not given up before the shipment.
				require.False(t, w.done[orders.BookShipment] && w.barred[orders.ReserveInventory], "goods without stock")
			}
		}

		for turn := 0; !o.Status.AtRest(); turn++ {
			require.Less(t, turn, 200, "does not come to rest")
			open := pending(o)
			require.NotEmpty(t, open, "waits for nothing")
			name := orders.StepName(rapid.SampledFrom(open).Draw(t, "step"))
			spec, _ := name.Spec()
			switch rapid.SampledFrom([]string{"succeed", "succeed", "succeed", "refuse", "lose", "late", "cancel"}).
				Draw(t, "outcome") {
			case "succeed":
				kind := orders.StepSucceeded
				if !w.send(name) {
					kind = orders.StepRefused
				}
				apply(orders.Event{Kind: kind, Step: name, Reason: "barred"})
				apply(orders.Event{Kind: orders.StepRefused, Step: name, Reason: "again"}) // must be ignored
			case "refuse":
				if spec.Role == orders.Forward || undoFails {
					apply(orders.Event{Kind: orders.StepRefused, Step: name, Reason: "no"})
				}
			case "lose": // it took effect, and its answer was lost
				if spec.Role == orders.Forward {
					w.send(name)
					apply(orders.Event{Kind: orders.StepUnknown, Step: name, Reason: "deadline"})
				}
			case "late": // given up first; a zombie sends it long after
				if spec.Role == orders.Forward {
					apply(orders.Event{Kind: orders.StepUnknown, Step: name, Reason: "deadline"})
					for _, s := range o.Steps {
						if s.State == orders.StatePending {
							if undo, _ := s.Name.Spec(); undo.Role == orders.Compensation && w.send(s.Name) {
								apply(orders.Event{Kind: orders.StepSucceeded, Step: s.Name})
							}
						}
					}
					if w.barred[name] {
						w.send(name)
					}
				}
			case "cancel":
				apply(orders.Event{Kind: orders.CancelRequested})
			}
		}

		for _, spec := range orders.Specs() {
			free := o.Total == 0 && spec.Provider == orders.Payment
			require.False(t, free && o.Latest(spec.Name) != nil, "%s of a free order", spec.Name)
			if o.Status == orders.Completed && spec.Role == orders.Forward && spec.Name != orders.QuoteShipping {
				require.Equal(t, !free, w.done[spec.Name], "completed without %s", spec.Name)
			}
		}
		switch o.Status {
		case orders.Completed:
			require.Equal(t, 100, o.Progress())
		case orders.NeedsAttention:
			require.True(t, undoFails)
			require.NotEmpty(t, o.Reason)
		default:
			delete(w.done, orders.QuoteShipping) // has no effect
			require.Empty(t, w.done, "%s with effects left", o.Status)
		}
		folded, err := orders.Fold(o, log)
		require.NoError(t, err)
		require.Equal(t, o, folded, "the fold of the events is the state")
		for _, then := range was {
			require.Equal(t, then, o.At(kept(t, then)), "what is kept of a moment gives the order as it was then")
		}
	})
}

// kept is a moment of an order as it comes back from where it is kept.
func kept(t require.TestingT, o orders.Order) (m orders.Moment) {
	text, err := json.Marshal(o.Moment())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &m))
	return m
}

func TestSpecs(t *testing.T) {
	t.Parallel()
	o := run(t, "authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment")
	paths := map[string]orders.StepName{}
	for _, spec := range orders.Specs() {
		require.NotEmpty(t, spec.Provider, spec.Name)
		at := string(spec.Provider) + "/" + spec.Path
		require.NotEmpty(t, spec.Path, spec.Name)
		require.Empty(t, paths[at], "%s is posted there, too", spec.Name)
		paths[at] = spec.Name
		body := bodyOf(t, spec, o)
		require.Equal(t, o.ID.String(), body["orderId"], spec.Name)
		require.Equal(t, o.CustomerID, body["customerId"], spec.Name)
		require.Equal(t, spec.MovesMoney, body["amount"] != nil && spec.Role != orders.Notice,
			"%s moves the amount that its body names", spec.Name)
		require.True(t, spec.MovesMoney || !spec.Charges, "%s takes money and moves none", spec.Name)
		require.NotEmpty(t, spec.Title, spec.Name)
		require.Positive(t, spec.Within, spec.Name)
		require.LessOrEqual(t, spec.Within, 20*time.Hour, "%s outlives the provider's memory of its key", spec.Name)
		if spec.Undo != "" {
			undo, ok := spec.Undo.Spec()
			require.True(t, ok)
			require.Equal(t, orders.Compensation, undo.Role)
			require.Equal(t, spec.Provider, undo.Provider)
		}
		for _, name := range spec.After {
			before, ok := name.Spec()
			require.True(t, ok)
			require.Equal(t, orders.Forward, before.Role)
			require.False(t, before.Undo != "" && spec.Undo == "", "%s could not be undone after %s", name, spec.Name)
		}
	}
}

// TestContractHasEveryStep compares the rows with the contract in words: where each step goes, and the fields of its
// body.
func TestContractHasEveryStep(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/providers.md")
	require.NoError(t, err)
	contract := map[string]string{} // what is said of a body, by step and call
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.Contains(cells[1], "`POST {") {
			contract[strings.TrimPrefix(cells[0], "| ")+" "+cells[1]] = cells[2]
		}
	}
	p := placement()
	p.CustomerEmail = "ada@example.com"
	o := orders.Place(p, orders.NewID(), epoch).Order
	for _, outcome := range []string{
		"authorize_payment", "reserve_inventory", "quote_shipping", "capture_payment", "book_shipment",
	} {
		d, err := orders.Decide(o, parse(o.ID, outcome))
		require.NoError(t, err)
		o = d.Order
	}
	for _, spec := range orders.Specs() {
		row := fmt.Sprintf("`%s` `POST {%s}/%s`", spec.Name, spec.Provider, spec.Path)
		require.Contains(t, contract, row)
		for field := range bodyOf(t, spec, o) {
			if field != "orderId" && field != "customerId" {
				require.Contains(t, contract[row], "`"+field+"`", row)
			}
		}
		delete(contract, row)
	}
	require.Empty(t, contract, "steps that are not in the saga")
}

func bodyOf(t *testing.T, spec orders.Spec, o orders.Order) (body map[string]any) {
	t.Helper()
	step := orders.Step{Name: spec.Name, Generation: 1, KeyGeneration: 1, Amount: o.Total}
	text, err := json.Marshal(spec.Body(&o, step))
	require.NoError(t, err, spec.Name)
	require.NoError(t, json.Unmarshal(text, &body), spec.Name)
	return body
}
