package orders

import "fmt"

// CarryQueue is the River queue of the jobs that carry orders.
const CarryQueue = "orders"

// CarryJob is the args of the River job that carries an order: it carries out pending steps, and goes on with the steps
// that their outcomes start. Like all args, it has ids only: River UI shows args to operators. It satisfies
// river.JobArgs by structure, so store can enqueue it without knowing any worker.
type CarryJob struct {
	OrderID ID `json:"order_id"`
	// Steps names the pending steps that the job begins with, as StepJob.Name does. Empty stands for all pending steps
	// that no other job is to carry out.
	Steps []string `json:"steps,omitempty"`
}

// Kind names the job. The SQL that looks for the jobs of an order has this name, too.
func (CarryJob) Kind() string { return "carry_order" }

// StepJob is the args of the River job of one step. A step gets a job of its own, in its provider's queue, when the job
// that carries its order has to leave it.
type StepJob struct {
	OrderID    ID       `json:"order_id"`
	Step       StepName `json:"step"`
	Generation int      `json:"generation"`
	Tries      int      `json:"tries,omitempty"` // attempts before the job's own
}

// Kind returns the step's name, so that River UI counts and filters by step.
func (j StepJob) Kind() string { return string(j.Step) }

// Name names the step within its order.
func (j StepJob) Name() string { return fmt.Sprintf("%s:%d", j.Step, j.Generation) }

// JobOf returns the job of a step of an order.
func JobOf(order ID, s *Step) StepJob {
	return StepJob{OrderID: order, Step: s.Name, Generation: s.Generation}
}
