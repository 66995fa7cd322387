package orders

import "encoding/json"

// A step's name is also its River kind and part of its idempotency key: renaming one breaks stored orders.
const (
	AuthorizePayment StepName = "authorize_payment"
	ReserveInventory StepName = "reserve_inventory"
	QuoteShipping    StepName = "quote_shipping"
	CapturePayment   StepName = "capture_payment"
	BookShipment     StepName = "book_shipment"

	VoidPayment      StepName = "void_payment"
	ReleaseInventory StepName = "release_inventory"
	RefundPayment    StepName = "refund_payment"
	CancelShipment   StepName = "cancel_shipment"

	SendEmail StepName = "send_email"
)

// saga defines the whole life of an order: Decide reads nothing else, and upstream sends by it. A new step is a new row
// and a body, both here.
//
//nolint:gochecknoglobals // a constant; Go has none of this type
var saga = []Spec{
	{
		Name: AuthorizePayment, Title: "Payment authorisation",
		Provider: Payment, Path: "authorizations", Body: authorizationBody,
		Undo: VoidPayment, Charges: true, MovesMoney: true, Sought: true, Within: customerWaits,
	},
	{
		Name: ReserveInventory, Title: "Inventory reservation",
		Provider: Inventory, Path: "reservations", Body: reservationBody,
		Undo: ReleaseInventory, Within: customerWaits,
	},
	{
		Name: QuoteShipping, Title: "Shipping quote",
		Provider: Shipping, Path: "quotes", Body: quoteBody,
		Within: customerWaits,
	},
	{
		Name: CapturePayment, Title: "Payment capture",
		Provider: Payment, Path: "captures", Body: captureBody,
		After: []StepName{AuthorizePayment, ReserveInventory, QuoteShipping}, Undo: RefundPayment,
		Charges: true, MovesMoney: true, Pivot: true, Sought: true, Within: providerRemembers,
	},
	{
		Name: BookShipment, Title: "Shipment",
		Provider: Shipping, Path: "shipments", Body: shipmentBody,
		After: []StepName{CapturePayment}, Undo: CancelShipment, Sought: true, Within: providerRemembers,
	},

	{
		Name: VoidPayment, Role: Compensation, Title: "Payment void",
		Provider: Payment, Path: "voids", Body: voidBody,
		Within: providerRemembers,
	},
	{
		Name: ReleaseInventory, Role: Compensation, Title: "Inventory release",
		Provider: Inventory, Path: "releases", Body: releaseBody,
		Within: providerRemembers,
	},
	{
		Name: RefundPayment, Role: Compensation, Title: "Refund",
		Provider: Payment, Path: "refunds", Body: refundBody,
		MovesMoney: true, Sought: true, Within: providerRemembers,
	},
	{
		Name: CancelShipment, Role: Compensation, Title: "Shipment cancellation",
		Provider: Shipping, Path: "cancellations", Body: cancellationBody,
		Within: providerRemembers,
	},

	{
		Name: SendEmail, Role: Notice, Title: "E-mail",
		Provider: Email, Path: "messages", Body: messageBody,
		Within: providerRemembers,
	},
}

func authorizationBody(o *Order, s Step) any {
	return struct {
		party
		amount
		PaymentMethod string `json:"paymentMethod"`
	}{o.party(), o.amount(s.Amount), o.PaymentMethod}
}

func captureBody(o *Order, s Step) any {
	return struct {
		party
		amount
		AuthorizationKey string `json:"authorizationKey"`
	}{o.party(), o.amount(s.Amount), o.key(AuthorizePayment)}
}

func voidBody(o *Order, _ Step) any {
	return struct {
		party
		AuthorizationKey string `json:"authorizationKey"`
	}{o.party(), o.key(AuthorizePayment)}
}

func refundBody(o *Order, s Step) any {
	return struct {
		party
		amount
		CaptureKey string `json:"captureKey"`
	}{o.party(), o.amount(s.Amount), o.key(CapturePayment)}
}

func reservationBody(o *Order, _ Step) any {
	return struct {
		party
		goods
	}{o.party(), o.goods()}
}

func releaseBody(o *Order, _ Step) any {
	return struct {
		party
		ReservationKey string `json:"reservationKey"`
	}{o.party(), o.key(ReserveInventory)}
}

func quoteBody(o *Order, _ Step) any {
	return struct {
		party
		goods
		Address *Address `json:"address"`
	}{o.party(), o.goods(), o.ShippingAddress}
}

func shipmentBody(o *Order, _ Step) any {
	return struct {
		party
		QuoteKey string   `json:"quoteKey"`
		Address  *Address `json:"address"`
	}{o.party(), o.key(QuoteShipping), o.ShippingAddress}
}

func cancellationBody(o *Order, _ Step) any {
	return struct {
		party
		ShipmentKey string `json:"shipmentKey"`
	}{o.party(), o.key(BookShipment)}
}

func messageBody(o *Order, s Step) any {
	about := o.Status
	if o.Refunded > 0 { // whatever the status, this e-mail is about the refund
		about = Refunded
	}
	var items []line
	if o.Status == Completed && o.Refunded == 0 {
		items = o.lines()
	}
	return struct {
		party
		amount
		Total    json.Number `json:"total"`
		Template string      `json:"template"`
		Reason   string      `json:"reason"`
		To       string      `json:"to,omitempty"`
		Items    []line      `json:"items,omitempty"`
	}{
		o.party(), o.amount(s.Amount), o.number(o.Total), TemplatePrefix + string(about), o.Reason, o.CustomerEmail, items,
	}
}
