package orders

// Status is where an order stands, as its customer sees it. Finer state is in its steps.
type Status string

// The statuses. An order comes to rest in one of the last five, and stays there, but for a completed one whose money
// is given back on request, for one that a person settles, and for an undone one of which a step took effect after all.
const (
	Pending        Status = "pending"         // accepted, no step has an outcome yet
	Processing     Status = "processing"      // on its way to its goal
	Completed      Status = "completed"       // paid and shipped
	Failed         Status = "failed"          // undone before the capture: a step was refused or got no answer
	Cancelled      Status = "cancelled"       // undone before the capture, as the customer asked
	Refunded       Status = "refunded"        // all the money that was, or may have been, taken went back
	NeedsAttention Status = "needs_attention" // a compensation was refused or got no answer: a person must decide
)

// Statuses lists all statuses.
func Statuses() []Status {
	return []Status{Pending, Processing, Completed, Failed, Cancelled, Refunded, NeedsAttention}
}

// AtRest says that nothing more will happen to the order by itself: it ended, or it waits for a person.
func (s Status) AtRest() bool { return s != Pending && s != Processing }

// Goal is what the order's steps are working towards. It leaves GoalComplete at most once: from then on the order only
// undoes. It returns only if nothing was undone and a person says that nothing can be.
type Goal string

// The goals.
const (
	GoalComplete Goal = "complete" // get the order paid and shipped
	GoalCancel   Goal = "cancel"   // undo: the customer asked
	GoalFail     Goal = "fail"     // undo: a forward step failed
)
