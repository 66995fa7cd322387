package client

import "github.com/millrace-orders/millrace/client/oas"

// How far a step is.
const (
	StepPending   = oas.StepStatePending
	StepSucceeded = oas.StepStateSucceeded
	StepRefused   = oas.StepStateRefused
	StepUnknown   = oas.StepStateUnknown
)
