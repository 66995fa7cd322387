package orders

import "fmt"

// Fold returns the state that an order had after the given events, which begin with its placement. From o it takes only
// the fields that never change. Folding all events gives the order itself: the log is complete.
func Fold(o Order, events []Event) (Order, error) {
	placement := Placement{
		CustomerID: o.CustomerID, Currency: o.Currency, Items: o.Items,
		PaymentMethod: o.PaymentMethod, ShippingAddress: o.ShippingAddress, CustomerEmail: o.CustomerEmail,
	}
	folded := Place(placement, o.ID, o.PlacedAt).Order
	for _, e := range events {
		if e.Kind == OrderPlaced {
			continue
		}
		decision, err := folded.decide(e)
		if err != nil {
			return Order{}, fmt.Errorf("fold version %d of order %s: %w", e.Version, o.ID, err)
		}
		folded = decision.Order
	}
	return folded, nil
}
