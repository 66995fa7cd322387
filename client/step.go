package client

import "github.com/millrace-orders/millrace/client/oas"

// The states of a step.
const (
	StepPending   = oas.StepStatePending
	StepSucceeded = oas.StepStateSucceeded
	StepRefused   = oas.StepStateRefused
	StepUnknown   = oas.StepStateUnknown
)
