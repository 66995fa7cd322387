package orders

import "encoding/json"

// request is the body that a step sends to its provider; docs/providers.md is the contract. Steps refer to each
// other by idempotency key, not by a provider's id, so that undoing works when the answer to the doing was lost.
func (o *Order) request(name StepName) []byte {
	amount := json.Number(o.Currency.Format(o.Total))
	key := func(step StepName) string {
		generation := 1
		if s := o.Step(step); s != nil {
			generation = s.Generation
		}
		return StepKey(o.ID, step, generation)
	}

	body := map[string]any{"orderId": o.ID, "customerId": o.CustomerID}
	switch name {
	case AuthorizePayment:
		body["amount"], body["currency"] = amount, o.Currency
		body["paymentMethod"] = o.PaymentMethod
	case CapturePayment:
		body["amount"], body["currency"] = amount, o.Currency
		body["authorizationKey"] = key(AuthorizePayment)
	case VoidPayment:
		body["authorizationKey"] = key(AuthorizePayment)
	case RefundPayment:
		body["amount"], body["currency"] = amount, o.Currency
		body["captureKey"] = key(CapturePayment)

	case ReserveInventory:
		body["items"], body["currency"] = o.lines(), o.Currency
	case ReleaseInventory:
		body["reservationKey"] = key(ReserveInventory)

	case QuoteShipping:
		body["items"], body["currency"] = o.lines(), o.Currency
		body["address"] = o.ShippingAddress
	case BookShipment:
		body["quoteKey"] = key(QuoteShipping)
		body["address"] = o.ShippingAddress
	case CancelShipment:
		body["shipmentKey"] = key(BookShipment)

	case SendEmail:
		body["template"] = "order_" + string(o.Status)
		body["amount"], body["currency"] = amount, o.Currency
		body["reason"] = o.Reason
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers: cannot happen
	}
	return b
}

type line struct {
	ProductID int64       `json:"productId"`
	Quantity  int64       `json:"quantity"`
	Price     json.Number `json:"price"`
}

func (o *Order) lines() []line {
	lines := make([]line, len(o.Items))
	for i, item := range o.Items {
		lines[i] = line{item.ProductID, item.Quantity, json.Number(o.Currency.Format(item.Price))}
	}
	return lines
}
