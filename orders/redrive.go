package orders

import (
	"fmt"
	"time"
)

// RedriveJob is the args of the River job that retries the stuck steps of many orders, one order after the other.
type RedriveJob struct {
	ID        ID        `json:"id"`    // of the redrive, which retries each order once
	Cause     Cause     `json:"cause"` // only orders with this cause; an empty field matches everything
	OrderIDs  []ID      `json:"order_ids"`
	PerSecond int       `json:"per_second"`
	Principal string    `json:"principal"` // the operator; Reason is the operator's
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"` // only orders that needed attention then
}

// Kind names the job.
func (RedriveJob) Kind() string { return "redrive" }

// Preview returns the steps that the redrive starts of an order, without doing anything. There are none if the order
// was settled since it was found, or was retried too often.
func (j RedriveJob) Preview(o Order) []Step {
	decision, err := Decide(o, j.Event(o.ID, j.At))
	if err != nil || Admit(&o, decision.Event) != nil {
		return nil
	}
	return decision.Started
}

// Event returns the redrive's settlement of one order.
func (j RedriveJob) Event(id ID, at time.Time) Event {
	return Event{
		OrderID: id, Kind: RetryRequested, At: at, Principal: j.Principal, Reason: j.Reason,
		IdempotencyKey: fmt.Sprintf("redrive:%s:%s", j.ID, id),
	}
}
