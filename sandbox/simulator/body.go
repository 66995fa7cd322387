package simulator

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
)

// party is the part that every body has.
type party struct {
	OrderID    string `json:"orderId"`
	CustomerID string `json:"customerId"`
}

func (p *party) order() string { return p.OrderID }

func (p *party) check() error {
	var bad error
	if id, err := uuid.Parse(p.OrderID); err != nil || id.String() != p.OrderID {
		bad = errors.New("orderId must be a UUID")
	}
	return errors.Join(bad, required("customerId", p.CustomerID))
}

func required(field, value string) error {
	if value == "" {
		return errors.New(field + " must not be empty")
	}
	return nil
}

// decimal is a number as it was written. A float would lose digits, and json.Number would accept quotes.
type decimal string

// UnmarshalJSON accepts any text: Currency.Parse later rejects all but a plain number.
func (d *decimal) UnmarshalJSON(b []byte) error {
	*d = decimal(b)
	return nil
}

// amount is the money in a body.
type amount struct {
	Amount   decimal         `json:"amount"`
	Currency orders.Currency `json:"currency"`

	money orders.Money
}

func (a *amount) check() error {
	if err := checkCurrency(a.Currency); err != nil {
		return err
	}
	var err error
	if a.money, err = a.Currency.Parse(string(a.Amount)); err != nil {
		return fmt.Errorf("amount %w", err)
	}
	return nil
}

func checkCurrency(c orders.Currency) error {
	if !c.Valid() {
		return errors.New("currency must be an ISO 4217 code")
	}
	return nil
}

// goods are the lines of an order in a body.
type goods struct {
	Items    []line          `json:"items"`
	Currency orders.Currency `json:"currency"`
}

type line struct {
	ProductID int64   `json:"productId"`
	Quantity  int64   `json:"quantity"`
	Price     decimal `json:"price"`

	price orders.Money
}

const maxQuantity = 1_000_000_000 // of a line: no sum of lines in one body can overflow

func (g *goods) check() error {
	if len(g.Items) == 0 {
		return errors.New("items must not be empty")
	}
	if err := checkCurrency(g.Currency); err != nil {
		return err
	}
	var bad []error
	for i := range g.Items {
		if err := g.Items[i].check(g.Currency); err != nil {
			bad = append(bad, fmt.Errorf("items[%d].%w", i, err))
		}
	}
	return errors.Join(bad...)
}

func (l *line) check(c orders.Currency) (err error) {
	if l.ProductID < 1 {
		return errors.New("productId must be at least 1")
	}
	if l.Quantity < 1 || l.Quantity > maxQuantity {
		return fmt.Errorf("quantity must be 1 to %d", maxQuantity)
	}
	if l.price, err = c.Parse(string(l.Price)); err != nil {
		return fmt.Errorf("price %w", err)
	}
	return nil
}
