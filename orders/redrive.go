package orders

import (
	"fmt"
	"time"
)

// RedriveJob is the args of the River job that tries again what keeps orders from their end, one order after the other.
type RedriveJob struct {
	ID        ID        `json:"id"`    // of the redrive: each order is tried once by it
	Cause     Cause     `json:"cause"` // only orders with this cause; what is empty of it may be anything
	OrderIDs  []ID      `json:"order_ids"`
	PerSecond int       `json:"per_second"`
	Principal string    `json:"principal"` // who asked for it, and why
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"` // only orders that needed attention then
}

// Kind names the job.
func (RedriveJob) Kind() string { return "redrive" }

// Event is what the redrive asks of one order.
func (j RedriveJob) Event(id ID, at time.Time) Event {
	return Event{
		OrderID: id, Kind: RetryRequested, At: at, Principal: j.Principal, Reason: j.Reason,
		IdempotencyKey: fmt.Sprintf("redrive:%s:%s", j.ID, id),
	}
}
