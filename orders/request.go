package orders

import "encoding/json"

// request is the body that a step sends to its provider; docs/providers.md is the contract. Steps refer to each
// other by idempotency key, not by a provider's id, so that undoing works when the answer to the doing was lost.
func (o *Order) request(step Step) []byte {
	amount := json.Number(o.Currency.Format(step.Amount))
	key := func(name StepName) string {
		generation := 1
		if s := o.Latest(name); s != nil {
			generation = s.KeyGeneration
		}
		return StepKey(o.ID, name, generation)
	}

	body := map[string]any{"orderId": o.ID, "customerId": o.CustomerID}
	switch step.Name {
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
		template := TemplatePrefix + string(o.Status)
		if o.Refunded > 0 { // whatever became of the order besides, this is about the money that went back
			template = TemplatePrefix + string(Refunded)
		}
		body["template"], body["reason"] = template, o.Reason
		body["amount"], body["total"], body["currency"] = amount, json.Number(o.Currency.Format(o.Total)), o.Currency
		if o.Status == Completed && o.Refunded == 0 {
			body["items"] = o.lines()
		}
		if o.CustomerEmail != "" {
			body["to"] = o.CustomerEmail
		}
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
