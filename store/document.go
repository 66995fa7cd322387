package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// timestamp truncates a time to the precision of Postgres, so that an order reads back exactly as it was decided.
func timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

type itemDocument struct {
	ProductID  int64        `json:"product_id"`
	Quantity   int64        `json:"quantity"`
	PriceMinor orders.Money `json:"price_minor"`
}

type stepDocument struct {
	Step          orders.StepName  `json:"step"`
	Generation    int              `json:"generation"`
	KeyGeneration int              `json:"key_generation"`
	State         orders.StepState `json:"state"`
	Amount        orders.Money     `json:"amount_minor"`
	Reference     string           `json:"reference"`
	Reason        string           `json:"reason"`
	StartedAt     time.Time        `json:"started_at"`
	DeadlineAt    time.Time        `json:"deadline_at"`
	SettledAt     *time.Time       `json:"settled_at"`
}

// decodeOrder decodes a row of order_documents. The steps have no request bodies. If it fails, it also returns what it
// could decode.
func decodeOrder(row dbsqlc.OrderDocument) (o orders.Order, err error) {
	o = orders.Order{
		ID: row.ID, CustomerID: row.CustomerID, Currency: orders.Currency(row.Currency),
		Total: orders.Money(row.TotalMinor), Refunded: orders.Money(row.RefundedMinor),
		PaymentMethod: row.PaymentMethod, CustomerEmail: row.CustomerEmail, Version: row.Version,
		Status: orders.Status(row.Status), Goal: orders.Goal(row.Goal), Reason: row.Reason,
		PlacedAt: row.PlacedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
		Origin: orders.Origin{RequestID: row.RequestID.String, Traceparent: row.Traceparent.String},
	}
	if row.ShippingAddress != nil {
		o.ShippingAddress = new(orders.Address)
		if e := json.Unmarshal(row.ShippingAddress, o.ShippingAddress); e != nil {
			err = fmt.Errorf("decode address of order %s: %w", row.ID, e)
		}
	}

	var items []itemDocument
	if e := json.Unmarshal(row.Items, &items); e != nil {
		err = errors.Join(err, fmt.Errorf("decode items of order %s: %w", row.ID, e))
	}
	o.Items = make([]orders.Item, len(items))
	for i, item := range items {
		o.Items[i] = orders.Item{ProductID: item.ProductID, Quantity: item.Quantity, Price: item.PriceMinor}
	}

	var steps []stepDocument
	if e := json.Unmarshal(row.Steps, &steps); e != nil {
		err = errors.Join(err, fmt.Errorf("decode steps of order %s: %w", row.ID, e))
	}
	o.Steps = make([]orders.Step, len(steps))
	for i, s := range steps {
		o.Steps[i] = orders.Step{
			Name: s.Step, Generation: s.Generation, KeyGeneration: s.KeyGeneration, State: s.State, Amount: s.Amount,
			Reference: s.Reference, Reason: s.Reason,
			StartedAt: s.StartedAt.UTC(), DeadlineAt: s.DeadlineAt.UTC(),
		}
		if s.SettledAt != nil {
			o.Steps[i].SettledAt = s.SettledAt.UTC()
		}
	}
	orders.SortSteps(o.Steps)
	return o, err
}

// decodeOrders decodes a list of rows. It shows a damaged order as far as its rows can be decoded, so that this order
// does not keep the others from being listed. Verification reports the order as unreadable.
func decodeOrders(rows []dbsqlc.OrderDocument) []orders.Order {
	list := make([]orders.Order, len(rows))
	for i, row := range rows {
		list[i], _ = decodeOrder(row)
	}
	return list
}

func decodeEvents(rows []dbsqlc.OrderEvent) []orders.Event {
	events := make([]orders.Event, len(rows))
	for i, row := range rows {
		events[i] = decodeEvent(row)
	}
	return events
}

func decodeEvent(row dbsqlc.OrderEvent) orders.Event {
	return orders.Event{
		OrderID: row.OrderID, Kind: orders.EventKind(row.Kind), Principal: row.Actor,
		Amount: orders.Money(row.AmountMinor), At: row.At.UTC(),
		Step: orders.StepName(row.Step), Generation: int(row.Generation), Reference: row.Reference, Reason: row.Reason,
		Version: row.Version, Status: orders.Status(row.Status), Progress: int(row.Progress),
		StatusChanged: row.StatusChanged,
	}
}

// encodeAddress is the JSON of an address, empty for none.
func encodeAddress(a *orders.Address) string {
	if a == nil {
		return ""
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return string(b)
}
