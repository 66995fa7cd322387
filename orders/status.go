package orders

// Status is the order's state as its customer sees it. The steps have the finer state.
type Status string

// An order comes to rest in one of the last five, and stays there with three exceptions. A completed order may be
// refunded on request. An operator may settle an order. An undone order continues if a step took effect after all.
const (
	Pending        Status = "pending"         // accepted, no step has an outcome yet
	Processing     Status = "processing"      // on its way to its goal
	Completed      Status = "completed"       // paid and shipped
	Failed         Status = "failed"          // undone before the capture: a step was refused or got no answer
	Cancelled      Status = "cancelled"       // undone before the capture, as the customer asked
	Refunded       Status = "refunded"        // all the money that was, or may have been, taken went back
	NeedsAttention Status = "needs_attention" // a compensation was refused or got no answer: an operator decides
)

// Statuses lists all statuses.
func Statuses() []Status {
	return []Status{Pending, Processing, Completed, Failed, Cancelled, Refunded, NeedsAttention}
}

// AtRest reports whether nothing more happens to the order by itself: it ended, or it waits for an operator.
func (s Status) AtRest() bool { return s != Pending && s != Processing }

// Goal is what the order's steps work towards. It leaves GoalComplete at most once: from then on the order only undoes.
// It returns to GoalComplete only if nothing was undone and an operator declares that nothing can be.
type Goal string

// The goals.
const (
	GoalComplete Goal = "complete" // get the order paid and shipped
	GoalCancel   Goal = "cancel"   // undo: the customer asked
	GoalFail     Goal = "fail"     // undo: a forward step failed
)
