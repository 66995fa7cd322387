package archive

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// format is the version of a document's form. A reader refuses a document of a later one.
const format = 1

// document is a line of a file: an order, its steps with the bodies that were sent, and its events.
type document struct {
	Format         int             `json:"format"`
	ID             orders.ID       `json:"id"`
	Principal      string          `json:"principal"`
	IdempotencyKey string          `json:"idempotencyKey,omitempty"`
	Fingerprint    []byte          `json:"fingerprint,omitempty"`
	CustomerID     string          `json:"customerId"`
	CustomerEmail  string          `json:"customerEmail,omitempty"`
	Address        *orders.Address `json:"shippingAddress,omitempty"`
	Currency       orders.Currency `json:"currency"`
	Total          orders.Money    `json:"totalMinor"`
	Refunded       orders.Money    `json:"refundedMinor"`
	PaymentMethod  string          `json:"paymentMethod"`
	Version        int64           `json:"version"`
	Status         orders.Status   `json:"status"`
	Goal           orders.Goal     `json:"goal"`
	Reason         string          `json:"reason,omitempty"`
	PlacedAt       time.Time       `json:"placedAt"`
	UpdatedAt      time.Time       `json:"updatedAt"`
	RequestID      string          `json:"requestId,omitempty"` // that placed it
	Traceparent    string          `json:"traceparent,omitempty"`
	Items          []item          `json:"items"`
	Steps          []step          `json:"steps"`
	Events         []event         `json:"events"`
}

type item struct {
	ProductID int64        `json:"productId"`
	Quantity  int64        `json:"quantity"`
	Price     orders.Money `json:"priceMinor"`
}

type step struct {
	Name          orders.StepName  `json:"step"`
	Generation    int              `json:"generation"`
	KeyGeneration int              `json:"keyGeneration"`
	State         orders.StepState `json:"state"`
	Amount        orders.Money     `json:"amountMinor"`
	Request       string           `json:"request,omitempty"` // JSON, as it was sent
	Reference     string           `json:"reference,omitempty"`
	Reason        string           `json:"reason,omitempty"`
	StartedAt     time.Time        `json:"startedAt"`
	DeadlineAt    time.Time        `json:"deadlineAt"`
	SettledAt     time.Time        `json:"settledAt,omitzero"`
}

type event struct {
	Version       int64            `json:"version"`
	Kind          orders.EventKind `json:"kind"`
	At            time.Time        `json:"at"`
	Principal     string           `json:"principal,omitempty"`
	Amount        orders.Money     `json:"amountMinor,omitempty"`
	Step          orders.StepName  `json:"step,omitempty"`
	Generation    int              `json:"generation,omitempty"`
	Reference     string           `json:"reference,omitempty"`
	Reason        string           `json:"reason,omitempty"`
	Status        orders.Status    `json:"status"`
	Progress      int              `json:"progress"`
	StatusChanged bool             `json:"statusChanged,omitempty"`
}

// encode returns the line of an order.
func encode(o store.ArchivedOrder) ([]byte, error) {
	d := document{
		Format: format, ID: o.ID, Principal: o.Principal, IdempotencyKey: o.IdempotencyKey, Fingerprint: o.Fingerprint,
		CustomerID: o.CustomerID, CustomerEmail: o.CustomerEmail, Address: o.ShippingAddress, Currency: o.Currency,
		Total: o.Total, Refunded: o.Refunded, PaymentMethod: o.PaymentMethod, Version: o.Version, Status: o.Status,
		Goal: o.Goal, Reason: o.Reason, PlacedAt: o.PlacedAt, UpdatedAt: o.UpdatedAt,
		RequestID: o.Origin.RequestID, Traceparent: o.Origin.Traceparent,
	}
	for _, i := range o.Items {
		d.Items = append(d.Items, item(i))
	}
	for _, s := range o.Steps {
		d.Steps = append(d.Steps, step{
			Name: s.Name, Generation: s.Generation, KeyGeneration: s.KeyGeneration, State: s.State, Amount: s.Amount,
			Request: string(s.Request), Reference: s.Reference, Reason: s.Reason, StartedAt: s.StartedAt,
			DeadlineAt: s.DeadlineAt, SettledAt: s.SettledAt,
		})
	}
	for _, e := range o.Events {
		d.Events = append(d.Events, event{
			Version: e.Version, Kind: e.Kind, At: e.At, Principal: e.Principal, Amount: e.Amount, Step: e.Step,
			Generation: e.Generation, Reference: e.Reference, Reason: e.Reason, Status: e.Status, Progress: e.Progress,
			StatusChanged: e.StatusChanged,
		})
	}
	line, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode order %s: %w", o.ID, err)
	}
	return append(line, '\n'), nil
}

// decode returns the order of a line.
func decode(line []byte) (o store.ArchivedOrder, err error) {
	var d document
	if err := json.Unmarshal(line, &d); err != nil {
		return o, fmt.Errorf("decode order: %w", err)
	}
	if d.Format != format {
		return o, fmt.Errorf("order %s has format %d, this program reads %d", d.ID, d.Format, format)
	}
	o = store.ArchivedOrder{
		Order: orders.Order{
			ID: d.ID, CustomerID: d.CustomerID, CustomerEmail: d.CustomerEmail, ShippingAddress: d.Address,
			Currency: d.Currency, Total: d.Total, Refunded: d.Refunded, PaymentMethod: d.PaymentMethod,
			Version: d.Version, Status: d.Status, Goal: d.Goal, Reason: d.Reason, PlacedAt: d.PlacedAt,
			UpdatedAt: d.UpdatedAt, Origin: orders.Origin{RequestID: d.RequestID, Traceparent: d.Traceparent},
		},
		Principal: d.Principal, IdempotencyKey: d.IdempotencyKey, Fingerprint: d.Fingerprint,
	}
	for _, i := range d.Items {
		o.Items = append(o.Items, orders.Item(i))
	}
	for _, s := range d.Steps {
		o.Steps = append(o.Steps, orders.Step{
			Name: s.Name, Generation: s.Generation, KeyGeneration: s.KeyGeneration, State: s.State, Amount: s.Amount,
			Request: []byte(s.Request), Reference: s.Reference, Reason: s.Reason, StartedAt: s.StartedAt,
			DeadlineAt: s.DeadlineAt, SettledAt: s.SettledAt,
		})
	}
	for _, e := range d.Events {
		o.Events = append(o.Events, orders.Event{
			OrderID: d.ID, Version: e.Version, Kind: e.Kind, At: e.At, Principal: e.Principal, Amount: e.Amount,
			Step: e.Step, Generation: e.Generation, Reference: e.Reference, Reason: e.Reason, Status: e.Status,
			Progress: e.Progress, StatusChanged: e.StatusChanged,
		})
	}
	return o, nil
}
