package orders

import (
	"fmt"
	"time"
)

// NoticeType is what a message to operators is about.
type NoticeType string

// The types of messages to operators.
const (
	NoticeNeedsAttention    NoticeType = "NeedsAttention"    // orders wait for an operator
	NoticeInvariantViolated NoticeType = "InvariantViolated" // verification has found a violation
	NoticeBreakerOpen       NoticeType = "BreakerOpen"       // a provider is not called, because it fails
	NoticeInstanceLost      NoticeType = "InstanceLost"      // a process with workers has ended without saying so
)

// NoticeTypes lists all types.
func NoticeTypes() []NoticeType {
	return []NoticeType{NoticeNeedsAttention, NoticeInvariantViolated, NoticeBreakerOpen, NoticeInstanceLost}
}

// Runbook names the section of docs/runbook.md that says what to do.
func (t NoticeType) Runbook() string {
	if t == NoticeNeedsAttention {
		return "MillraceOrderNeedsAttention"
	}
	return "Millrace" + string(t)
}

// OperatorNotice is a message to operators. Nothing in it is personal.
type OperatorNotice struct {
	ID      ID         `json:"id"`
	Type    NoticeType `json:"type"`
	Cause   string     `json:"cause"` // there is one message about a cause, until the cause ends
	Message string     `json:"message"`
	At      time.Time  `json:"at"`
}

// Mail returns the notice as an e-mail.
func (n OperatorNotice) Mail() (subject, text string) {
	return fmt.Sprintf("Millrace: %s: %s", n.Type, n.Cause), fmt.Sprintf(
		"%s\n\nNoticed at %s.\nWhat to do: docs/runbook.md, %s.\n", n.Message, n.At.UTC().Format(time.RFC3339),
		n.Type.Runbook())
}

// OperatorMailJob is the args of the River job that sends a notice to the operator's address.
type OperatorMailJob struct {
	Notice OperatorNotice `json:"notice"`
}

// Kind names the job.
func (OperatorMailJob) Kind() string { return "operator_mail" }
