// Command sagadoc prints docs/saga.md: the saga's table and diagram, from the table that the program itself uses.
package main

import (
	"fmt"
	"strings"

	"github.com/millrace-orders/millrace/orders"
)

func main() {
	fmt.Print(`# The saga

Printed by ` + "`make generate`" + ` from orders/saga.go. Solid arrows: a step starts when all steps that point to it
have succeeded. Dotted arrows: what undoes a step that took effect, or may have.

` + "```mermaid\nflowchart LR\n  placed([placed])\n")
	followed := map[orders.StepName]bool{}
	for _, spec := range orders.Specs() {
		if spec.Role != orders.Forward {
			continue
		}
		shape := "  %s[%s]\n"
		if spec.Pivot {
			shape = "  %s{{%s: the pivot}}\n"
		}
		fmt.Printf(shape, spec.Name, spec.Name)
		if len(spec.After) == 0 {
			fmt.Printf("  placed --> %s\n", spec.Name)
		}
		for _, before := range spec.After {
			followed[before] = true
			fmt.Printf("  %s --> %s\n", before, spec.Name)
		}
		if spec.Undo != "" {
			fmt.Printf("  %s -.-> %s\n", spec.Name, spec.Undo)
		}
	}
	for _, spec := range orders.Specs() {
		if spec.Role == orders.Forward && !followed[spec.Name] {
			fmt.Printf("  %s --> completed([completed])\n", spec.Name)
		}
	}
	fmt.Print("```\n\n| step | role | provider | after | undone by | gives up after |\n")
	fmt.Print("| --- | --- | --- | --- | --- | --- |\n")
	roles := map[orders.Role]string{
		orders.Forward: "forward", orders.Compensation: "compensation", orders.Notice: "notice",
	}
	for _, spec := range orders.Specs() {
		after := make([]string, len(spec.After))
		for i, name := range spec.After {
			after[i] = "`" + string(name) + "`"
		}
		undo := ""
		if spec.Undo != "" {
			undo = "`" + string(spec.Undo) + "`"
		}
		fmt.Printf("| `%s` | %s | %s | %s | %s | %.0f h |\n", spec.Name, roles[spec.Role], spec.Provider,
			strings.Join(after, ", "), undo, spec.Within.Hours())
	}
	fmt.Print(`
A free order, with a total of 0, goes without the steps that take money (` +
		"`authorize_payment`, `capture_payment`" + `): its
shipment is booked when the stock is reserved and the quote is there. If the order is undone, it ends as failed or
cancelled.

An order is undone when a forward step is refused or gets no answer before its deadline, or when the customer cancels.
Steps under way are waited for; then everything that took effect, or may have, is undone in the reverse order: a step
is undone only after all steps that build on it. A compensation that is refused, or gets no answer, leaves the order
in ` + "`needs_attention`" + `; so does a refund that was asked for and got no answer.

| status | means |
| --- | --- |
| ` + "`pending`" + ` | accepted; no step has an outcome yet |
| ` + "`processing`" + ` | on its way to its goal: completion, or undoing |
| ` + "`completed`" + ` | paid and shipped |
| ` + "`failed`" + ` | undone before the capture: a step was refused or got no answer |
| ` + "`cancelled`" + ` | undone before the capture, as the customer asked |
| ` + "`refunded`" + ` | all the money that was, or may have been, taken went back |
| ` + "`needs_attention`" + ` | a compensation did not succeed, or a refund got no answer: an operator must decide |

An order that needs attention waits for an operator, who settles it with ` + "`POST /api/orders/{id}/settle`" + `:

- ` + "`retry`" + `: a new generation of each step because of which the order cannot finish, with a new deadline.
  A refused step is sent under a new key. For an unanswered step, the provider is asked first; then the step
  is sent with the same
  key and bytes, so it happens once.
- ` + "`compensate`" + `: everything that happened, or may have, is undone; if the order is being undone already, every
  step is retried.
- ` + "`accept`" + `: the step counts as succeeded or refused, as the operator says, and the order goes on from there.

If Millrace could not undo a step, an operator can undo it by hand and accept its compensation as succeeded. A shipment
that is on its way cannot be undone. If every forward step was done, and the operator accepts that the compensation was
refused, the order completes. The order's history has the operator who settled it, and the reason.

A step may turn out to have taken effect after its order was undone and ended. If an operator accepts that the step
succeeded, the step is undone as well. [Reconciliation](reconciliation.md#repairs) does the same by itself, except for a
capture. The order then ends with the same status as before, or with ` + "`refunded`" + ` after a capture. The
customer is notified only if the final status changes.
`)
}
