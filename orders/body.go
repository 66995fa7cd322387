package orders

import "encoding/json"

// body returns the body of a step. It is stored once, and every send uses the stored bytes.
func (o *Order) body(step Step) []byte {
	spec, _ := step.Name.Spec()
	b, err := json.Marshal(spec.Body(o, step))
	if err != nil {
		panic(err) // cannot happen: bodies are texts and numbers
	}
	return b
}

// party is the part that every body has.
type party struct {
	OrderID    ID     `json:"orderId"`
	CustomerID string `json:"customerId"`
}

func (o *Order) party() party { return party{o.ID, o.CustomerID} }

type amount struct {
	Amount   json.Number `json:"amount"`
	Currency Currency    `json:"currency"`
}

func (o *Order) amount(m Money) amount { return amount{o.number(m), o.Currency} }

func (o *Order) number(m Money) json.Number { return json.Number(o.Currency.Format(m)) }

type goods struct {
	Items    []line   `json:"items"`
	Currency Currency `json:"currency"`
}

type line struct {
	ProductID int64       `json:"productId"`
	Quantity  int64       `json:"quantity"`
	Price     json.Number `json:"price"`
}

func (o *Order) goods() goods { return goods{o.lines(), o.Currency} }

func (o *Order) lines() []line {
	lines := make([]line, len(o.Items))
	for i, item := range o.Items {
		lines[i] = line{item.ProductID, item.Quantity, o.number(item.Price)}
	}
	return lines
}

// key returns the key that the latest generation of a step is sent under. Steps refer to each other by key, not by a
// provider's id. So a compensation works even when the answer to the original step was lost. key does not use Latest,
// which reads the saga: a row of the saga cannot contain a function that reads the table.
func (o *Order) key(name StepName) string {
	latest := Step{KeyGeneration: 1}
	for i := range o.Steps {
		if s := &o.Steps[i]; s.Name == name && s.Generation > latest.Generation {
			latest = *s
		}
	}
	return StepKey(o.ID, name, latest.KeyGeneration)
}
