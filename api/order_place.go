package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/api/problems"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

// longestStop is the longest time that a stopped intake asks callers to wait: an operator may start it earlier.
const longestStop = time.Minute

var errIntakeStopped = problems.New(problems.Unavailable, "intake_stopped", "No orders are taken at the moment.")

// Placement is the body of a request to place an order.
type Placement struct {
	CustomerID      customerID      `json:"customerId" example:"1" doc:"The customer who places the order"`
	Items           []PlacementItem `json:"items" doc:"The items to order" minItems:"1" maxItems:"100"`
	Currency        string          `json:"currency,omitempty" default:"USD" pattern:"^[A-Z]{3}$" patternDescription:"three capital letters" example:"USD" doc:"ISO 4217 code"`
	PaymentMethod   string          `json:"paymentMethod,omitempty" maxLength:"200" example:"card" doc:"Passed on to the payment provider"`
	ShippingAddress *Address        `json:"shippingAddress,omitempty"`
	CustomerEmail   string          `json:"customerEmail,omitempty" maxLength:"254" example:"ada@example.com" doc:"The address for e-mails about the order, without a name. Orders do not show it; notifications do"`
	Total           *Amount         `json:"total,omitempty" example:"209.97" doc:"If sent, it must be the sum of the items"`
}

// PlacementItem is one item of a placement.
type PlacementItem OrderItem

type placeInput struct {
	IdempotencyKey string `header:"Idempotency-Key" example:"8e03978e-40d5-43e8-bc93-6894a57f9324" doc:"Makes it safe to repeat the request: the same body under the same key gets the first answer again. 1 to 255 visible ASCII characters; quotes around them make no difference"`
	Prefer         string `header:"Prefer" example:"wait=10" doc:"wait=N: answer when the order is at rest, or after N seconds (at most 30; RFC 7240)"`
	Body           Placement
}

type placeOutput struct {
	Status   int
	Location string `header:"Location" doc:"The order's path"`
	ETag     string `header:"ETag" doc:"The order's version"`
	Replayed string `header:"Idempotency-Replayed" doc:"true if an earlier request under this key placed the order"`
	Applied  string `header:"Preference-Applied" doc:"wait if the answer waited as Prefer asked. The answer is then the order as it is now, even under a key that was used before"`
	Body     Order
}

func (o orderOperations) placeOperation() operation {
	return declare(operation{
		Operation: huma.Operation{
			OperationID: "placeOrder", Method: http.MethodPost, Path: "/api/orders", Tags: []string{tagOrders},
			Summary: "Place an order",
			Description: "Stores the order and answers before any provider is called. To see the order progress, follow its " +
				"events or read it again. Send an Idempotency-Key, and repeat the request under the same key after any " +
				"failure. With `Prefer: wait=10` the answer comes when the order is at rest, with 200 and its final status, " +
				"or after 10 seconds, with 202.",
			DefaultStatus: http.StatusAccepted,
			MaxBodyBytes:  -1, // limited does it
		},
		permission: permitPlace, action: "create",
		errors: []*problems.Error{errKeyReused, errIntakeStopped},
		example: `{"customerId": "1", "items": [` +
			`{"productId": 1, "quantity": 2, "price": 29.99}, ` +
			`{"productId": 2, "quantity": 1, "price": 149.99}]}`,
		answer: showExample(exampleOrder()), responses: placeResponses,
	}, o.place)
}

func (o orderOperations) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	if stop, stopped := o.holds.Intake(); stopped {
		exchangeOf(ctx).stopped = true
		return nil, errIntakeStopped.Detailed("%s", stop.Reason).RetryAfter(min(o.holds.Remaining(stop), longestStop))
	}
	creating, span := trace.Create(ctx)
	defer span.End()
	placement, err := newPlacement(in.Body)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	principal := x.principal
	if err := principal.checkPlacement(&placement); err != nil {
		return nil, err
	}
	placement.Principal, placement.Origin = principal.Name, orders.Origin{
		RequestID: x.requestID, Traceparent: trace.Here(creating),
	}
	advice := "The order may or may not have been stored. Without an Idempotency-Key, look for it before you repeat."
	if in.IdempotencyKey != "" {
		if placement.IdempotencyKey, err = parseIdempotencyKey(in.IdempotencyKey); err != nil {
			return nil, err
		}
		advice = "The order may or may not have been stored. Repeat the request under the same Idempotency-Key."
	}

	placed, err := o.orders.Place(creating, []orders.Placement{placement})
	if err != nil {
		return nil, &uncertainError{advice, err}
	}
	if placed[0].Err != nil {
		return nil, placed[0].Err
	}
	order, out := placed[0].Order, &placeOutput{Status: http.StatusAccepted}
	x.scope.About(order.ID)
	trace.Placed(creating, order.ID)
	span.End() // before the caller's wait
	if x.replayed = placed[0].Replayed; x.replayed {
		out.Replayed = "true"
	}
	if patience, ok := preferredWait(in.Prefer); ok {
		if order, ok = o.waiter.await(ctx, order, patience); ok {
			out.Applied = "wait"
		}
		if order.Status.AtRest() {
			out.Status = http.StatusOK
		}
	}
	out.Location, out.ETag, out.Body = "/api/orders/"+order.ID.String(), etag(order.Version), newOrder(&order, principal)
	return out, nil
}

// placeResponses describes the answer to a caller that waited.
func placeResponses(r huma.Registry) map[string]*huma.Response {
	text := &huma.Schema{Type: huma.TypeString}
	return map[string]*huma.Response{"200": {
		Description: "The order, which came to rest while the caller waited",
		Headers: map[string]*huma.Header{
			"ETag": etagHeader(), "Location": {Description: "The order's path", Schema: text},
			"Idempotency-Replayed": {Description: "true if an earlier request under this key placed the order", Schema: text},
			"Preference-Applied":   {Description: "wait", Schema: text},
		},
		Content: map[string]*huma.MediaType{mediaJSON: {
			Schema: r.Schema(reflect.TypeFor[Order](), true, ""),
			Example: showExample(exampleOrder(orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping,
				orders.CapturePayment, orders.BookShipment)),
		}},
	}}
}

// newPlacement parses the amounts, which needs the currency, and validates the placement. It reports all mistakes at
// once.
func newPlacement(body Placement) (orders.Placement, error) {
	p := orders.Placement{
		CustomerID: string(body.CustomerID), Currency: orders.Currency(body.Currency),
		Items: make([]orders.Item, len(body.Items)), PaymentMethod: body.PaymentMethod,
		ShippingAddress: (*orders.Address)(body.ShippingAddress), CustomerEmail: body.CustomerEmail,
	}
	if p.Currency == "" {
		p.Currency = orders.USD
	}
	var wrong []orders.FieldError
	parse := func(field string, a Amount) orders.Money {
		money, err := p.Currency.Parse(string(a))
		if err != nil {
			wrong = append(wrong, orders.FieldError{Field: field, Message: err.Error()})
		}
		return money
	}
	for i, item := range body.Items {
		price := parse(fmt.Sprintf("items[%d].price", i), item.Price)
		p.Items[i] = orders.Item{ProductID: item.ProductID, Quantity: item.Quantity, Price: price}
	}
	if body.Total != nil {
		p.Total = new(parse("total", *body.Total))
	}
	if len(wrong) > 0 {
		p.Total = nil // the sum to compare it with is unknown
	}

	var invalid *orders.InvalidError
	if err := p.Validate(); errors.As(err, &invalid) {
		wrong = append(wrong, invalid.Fields...)
	} else if err != nil {
		return p, err
	}
	if len(wrong) > 0 {
		return p, &orders.InvalidError{Fields: wrong}
	}
	return p, nil
}
