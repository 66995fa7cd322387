package client

import "github.com/millrace-orders/millrace/client/oas"

// The steps of the saga. More may be added.
const (
	AuthorizePayment = oas.StepNameAuthorizePayment
	ReserveInventory = oas.StepNameReserveInventory
	QuoteShipping    = oas.StepNameQuoteShipping
	CapturePayment   = oas.StepNameCapturePayment
	BookShipment     = oas.StepNameBookShipment
	VoidPayment      = oas.StepNameVoidPayment
	ReleaseInventory = oas.StepNameReleaseInventory
	RefundPayment    = oas.StepNameRefundPayment
	CancelShipment   = oas.StepNameCancelShipment
	SendEmail        = oas.StepNameSendEmail
)

// How far a step is.
const (
	StepPending   = oas.StepStatePending
	StepSucceeded = oas.StepStateSucceeded
	StepRefused   = oas.StepStateRefused
	StepUnknown   = oas.StepStateUnknown
)
