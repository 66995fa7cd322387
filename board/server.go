package board

import (
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Limits from which the state of the database's server is a reason to look closer. They are those of the alerts.
const (
	transactionOld  = 5 * time.Minute
	mostConnections = 0.9         // of all
	mostXIDAge      = 1e9         // transactions; at 2 billion Postgres stops
	mostLag         = 256_000_000 // bytes
	webhookLate     = time.Minute
)

// server is the state of the database's server as the board shows it: rounded, because every difference makes all pages
// load anew.
type server struct {
	store.ServerHealth

	Young time.Duration // no transaction is older, if OldestTransaction is 0
}

func newServer(h store.ServerHealth) server {
	const young, lag, age = 10 * time.Second, 1_000_000, 100_000
	h.OldestTransaction = h.OldestTransaction.Truncate(young)
	h.LagBytes -= h.LagBytes % lag
	h.XIDAge = max(h.XIDAge, h.MultixactAge)
	h.XIDAge -= h.XIDAge % age
	h.MultixactAge, h.XminAge, h.Bytes, h.SlotBytes, h.Lag = 0, 0, 0, 0, 0 // they are not shown
	return server{h, young}
}

// serverWorries are the reasons to look at the database's server.
func serverWorries(h store.ServerHealth, add func(worry)) {
	const link = "#database"
	if h.SyncConfigured && h.Visible && h.SyncStandbys == 0 {
		add(worry{
			true, "MillraceStandbyMissing", "Commits wait for a synchronous standby, and none is connected.",
			"Bring the standby back, or name the standbys that are left in synchronous_standby_names.", link,
		})
	}
	if age := max(h.XIDAge, h.MultixactAge); age > mostXIDAge {
		add(worry{
			true, "MillracePostgresWraparound", fmt.Sprintf("Postgres has not frozen old ids for %s transactions.",
				number(age-age%1_000_000)), "End old transactions, drop unused slots, and vacuum.", link,
		})
	}
	if h.ConnectionsLimit > 0 && float64(h.Connections) > mostConnections*float64(h.ConnectionsLimit) {
		add(worry{
			false, "MillracePostgresConnections", fmt.Sprintf("%s of %s connections to Postgres are taken.",
				number(h.Connections), number(h.ConnectionsLimit)), "Find out which programs have them.", link,
		})
	}
	if h.OldestTransaction > transactionOld {
		add(worry{
			false, "MillracePostgresOldTransaction", fmt.Sprintf("A transaction has been open for %s.",
				seconds(h.OldestTransaction.Truncate(time.Minute))), "Find its session, and end it unless it is a dump.", link,
		})
	}
	if h.LagBytes > mostLag {
		add(worry{
			false, "MillraceReplicationLag", fmt.Sprintf("A standby has %s of WAL left to replay.",
				size(h.LagBytes-h.LagBytes%10_000_000)), "Look for long queries on the standby.", link,
		})
	}
	if h.PartitionsAhead == 0 {
		add(worry{
			false, "MillraceLogPartitionsMissing", "The log has no partition for next week.",
			"A restart of a process makes it at once.", link,
		})
	}
}

// queueWorries are about queues that no lane has.
func queueWorries(q quick, due time.Time, add func(worry)) {
	const resume = "Resume it in River UI when the reason is gone."
	if q.Paused[orders.CarryQueue] {
		add(worry{true, "MillraceQueueBehind", "The queue of orders is paused in River UI: no order begins.", resume, ""})
	}
	switch late := q.At.Sub(due); {
	case q.Paused["webhooks"]:
		add(worry{false, "MillraceWebhooksBehind", "The queue of webhooks is paused in River UI.", resume, ""})
	case late > webhookLate:
		add(worry{
			false, "MillraceWebhooksBehind", "Messages to webhooks have waited since " + moment(due) + ".",
			"Start another process with workers, or look at the webhooks that fail.", Prefix + "webhooks",
		})
	}
}

// troubleWorries are what processes have found about themselves, one line for each alert. It has all that the first of
// the processes has found, such as each provider.
func troubleWorries(processes []store.Process, add func(worry)) {
	type shared struct {
		worry

		first  string // the process
		others map[string]bool
	}
	var found []*shared
	by := map[string]*shared{}
	for _, p := range processes {
		if !p.Live {
			continue
		}
		for _, t := range p.Troubles {
			known := by[t.Alert]
			switch {
			case known == nil:
				grave, do := aboutTrouble(t.Alert)
				text := fmt.Sprintf("Process %s (%s): %s", p.ID, p.Role, t.Text)
				known = &shared{worry{grave, t.Alert, text, do, "#processes"}, p.ID, map[string]bool{}}
				by[t.Alert], found = known, append(found, known)
			case known.first == p.ID:
				known.Text += " " + t.Text
			default:
				known.others[p.ID] = true
			}
		}
	}
	for _, s := range found {
		if n := len(s.others); n > 0 {
			s.Text += fmt.Sprintf(" Also in %s.", counted(int64(n), "other process", "other processes"))
		}
		add(s.worry)
	}
}

// aboutTrouble reports whether a trouble is grave, and what to do first.
func aboutTrouble(alert string) (grave bool, do string) {
	switch alert {
	case "MillraceWritesRefused":
		return true, "Look at the database's disk and rights."
	case "MillraceIntakeErrorsFast":
		return true, "Look at the database, and at what was rolled out last."
	case "MillraceOverloaded":
		return true, "Add a process with an API, or limit the caller that sends most."
	case "MillraceDatabaseUnavailable", "MillraceDatabaseRefuses":
		return true, "Look at the database first."
	case "MillraceDatabaseSlow", "MillraceIntakeLatencyFast":
		return true, "Look for sessions that block others."
	case "MillraceProviderMisconfigured":
		return true, "Correct the provider's URL or token, and restart the process."
	case "MillraceWebhookEventsLost":
		return true, "Tell the owners of webhooks to read their orders again."
	case "MillraceFeedBehind", "MillraceFreshnessFast":
		return false, "Look for an old transaction that writes."
	case "MillraceProviderRefuses":
		return false, "Ask the provider about the code of its refusals."
	case "MillraceMailFailing":
		return false, "Ask the mail provider."
	case "MillraceWebhooksGivenUp", "MillraceWebhookDisabled":
		return false, "Tell the owner of the webhook."
	case "MillracePanics":
		return false, "Find the stack in the log, and report it."
	case "MillraceMemoryHigh":
		return false, "Keep a profile, and restart the process."
	case "MillraceClockSkew":
		return false, "Set the clock right."
	}
	return false, "See the runbook."
}
