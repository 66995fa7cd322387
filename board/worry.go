package board

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// laneLate is from when on a step that has no outcome is worth a look. A customer waits for the first steps.
const laneLate = time.Minute

// worry is one reason to look closer, as one sentence. The worst comes first.
type worry struct {
	Grave bool   // work stands still, or something may be lost
	Alert string // the alert that fires for it, and its section in docs/runbook.md; empty if there is none
	Text  string
	Do    string // the next thing to do
	Link  string // where; empty if nowhere on the board
}

// worries are all reasons to look closer, the worst first.
func worries(q quick, s slow) (list []worry) {
	add := func(grave bool, alert, link, do, format string, args ...any) {
		list = append(list, worry{grave, alert, fmt.Sprintf(format, args...), do, link})
	}
	more := func(w worry) { list = append(list, w) }
	workers := 0
	versions := map[string]bool{}
	for _, p := range q.Processes {
		switch {
		case !p.Live:
			alert := "MillraceInstanceLost"
			if p.Role == "api" {
				alert = "MillraceDown"
			}
			add(false, alert, "#processes", "Find out why it stopped. Other processes have taken over its work.",
				"Process %s has been silent since %s.", p.ID, moment(p.ReportedAt))
		default:
			versions[p.Version] = true
			if p.Role != "api" {
				workers++
			}
		}
	}
	if workers == 0 {
		add(true, "MillraceNoWorkers", "#processes", "Start a process with workers: millrace serve, or millrace work.",
			"No process with workers is alive: no order makes progress.")
	}
	if hold := q.Held.Intake; hold != nil {
		add(true, "", "", "Start it again when the reason is gone: millrace intake start.",
			"No orders are taken until %s: %s", moment(hold.Until), sentence(hold.Reason))
	}
	for _, v := range s.Verification.Violations {
		if v.Check == "reconciliation" {
			continue // the findings say more
		}
		add(true, alertOf(v.Check), "#invariants", v.Do, "%s (%s)", sentence(v.Means), v.Check)
	}
	for _, lane := range q.Lanes {
		row := newLaneRow(lane, q)
		link := Prefix + "lanes/" + string(lane.Provider)
		switch row.State() {
		case stateOpen:
			add(lane.Open == lane.Workers, "MillraceBreakerOpen", link,
				"Ask the provider. Steps wait, and go on by themselves when it answers.",
				"The breaker of %s is open%s.", lane.Provider, partly(lane.Open, lane.Workers))
		case statePaused:
			if row.Hold == nil {
				add(false, "MillraceQueueBehind", link, "Resume its queue in River UI when the reason is gone.",
					"The queue of %s is paused in River UI.", lane.Provider)
				continue
			}
			add(false, "MillraceQueueBehind", link, "Resume it when the reason is gone.",
				"The lane of %s is paused until %s: %s", lane.Provider, moment(row.Hold.Until), sentence(row.Hold.Reason))
		case stateBehind:
			add(false, "MillraceCompletionFast", link, "Look at its last error and its backlog.",
				"A step at %s has had no outcome since %s.", lane.Provider, moment(lane.OldestAt))
		}
	}
	if n := q.Orders[orders.NeedsAttention]; n > 0 {
		add(false, "MillraceOrderNeedsAttention", Prefix+"attention",
			"Look at the causes. Redrive what a provider can do now.", "%s.",
			counted(n, "order needs a decision", "orders need a decision"))
	}
	if n := len(s.Findings); n > 0 {
		add(true, "MillraceReconcileFindings", Prefix+"findings",
			"Compare with the provider: money or goods may be in the wrong place.",
			"A provider's records and the orders disagree: %s.", counted(int64(n), "finding", "findings"))
	}
	for _, c := range s.Compared {
		if c.State == store.ReconciliationUnavailable {
			add(false, "MillraceReconcileStale", Prefix+"findings", "Ask the provider why its list does not answer.",
				"The records of %s could not be compared.", c.Provider)
		}
	}
	if n := len(s.Webhooks); n > 0 {
		add(false, "MillraceWebhooksGivenUp", Prefix+"webhooks",
			"Tell their owners. Messages are tried again for three days.", "%s.",
			counted(int64(n), "webhook is failing", "webhooks are failing"))
	}
	if len(versions) > 1 {
		add(false, "MillraceVersionsMixed", "#processes", "Finish the roll-out, if there is none under way.",
			"Processes of %d versions are running.", len(versions))
	}
	troubleWorries(q.Processes, more)
	serverWorries(s.health, more)
	queueWorries(q, s.due, more)
	slices.SortStableFunc(list, func(a, b worry) int {
		switch {
		case a.Grave == b.Grave:
			return 0
		case a.Grave:
			return -1
		}
		return 1
	})
	return list
}

// alertOf is the alert that fires for a violation.
func alertOf(check string) string {
	switch check {
	case "leader":
		return "MillraceNoLeader"
	case "verification":
		return "MillraceVerificationStale"
	}
	return "MillraceInvariantViolated"
}

// partly says in how many processes, unless it is all of them.
func partly(n, all int) string {
	if n == all {
		return ""
	}
	return fmt.Sprintf(" in %d of %d processes", n, all)
}

// sentence gives a text of a check its capital and its full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
