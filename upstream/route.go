package upstream

import (
	"fmt"

	"github.com/millrace-orders/millrace/orders"
)

// routes says where each step is posted to, below the base URL of its provider. A new step is a new row here and in
// the saga; a test compares the two.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var routes = map[orders.StepName]string{
	orders.AuthorizePayment: "authorizations",
	orders.CapturePayment:   "captures",
	orders.VoidPayment:      "voids",
	orders.RefundPayment:    "refunds",

	orders.ReserveInventory: "reservations",
	orders.ReleaseInventory: "releases",

	orders.QuoteShipping:  "quotes",
	orders.BookShipment:   "shipments",
	orders.CancelShipment: "cancellations",

	orders.SendEmail: "messages",
}

// route returns the client of the step's provider and the path of the step there.
func (c *Clients) route(step orders.StepName) (*client, string, error) {
	spec, ok := step.Spec()
	path := routes[step]
	if !ok || path == "" {
		return nil, "", fmt.Errorf("no route for step %q", step)
	}
	return c.clients[spec.Provider], path, nil
}
