package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// When something counts as trouble. An alert looks longer, at all processes.
const (
	fewErrors       = 3    // of the database, within a minute
	fewCases        = 5    // without as many, a share says nothing
	slowShare       = 0.14 // of placements and of events: as much burns the budget of a month in two days
	failedShare     = 0.014
	mailShare       = 0.05
	refusedShare    = 0.5
	behindTooLong   = 10 // seconds
	memoryTooMuch   = 1e9
	clockTooFarAway = 2 // seconds
)

// sign is a sign of trouble.
type sign struct{ alert, text string }

// signsOf finds signs of trouble in what a process counts now, and by how much it grew within a minute and lately.
func signsOf(now, minute, lately counts) (signs []sign) {
	add := func(alert, text string, args ...any) { signs = append(signs, sign{alert, fmt.Sprintf(text, args...)}) }
	intakeSigns(minute, add)
	databaseSigns(minute, add)
	providerSigns(minute, add)
	webhookSigns(lately, add)
	if behind := now.by["millrace_feed_behind_seconds"]; behind > behindTooLong && behind < 1e9 { // before it begins, more
		add("MillraceFeedBehind", "It has not heard of events for %.0f s.", behind)
	}
	events := minute.by["millrace_feed_event_age_seconds"]
	if late := events - minute.by["millrace_feed_event_age_seconds<"]; events >= fewCases && late > slowShare*events {
		add("MillraceFreshnessFast", "It heard of %.0f of %.0f events of the last minute later than after a second.", late,
			events)
	}
	if n := lately.sum("millrace_panics_total") + lately.sum("millrace_commit_panics_total"); n > 0 {
		add("MillracePanics", "Requests that made it panic within the last 15 minutes: %.0f.", n)
	}
	if bytes := now.by["process_resident_memory_bytes"]; bytes > memoryTooMuch {
		add("MillraceMemoryHigh", "It uses %.1f GB of memory.", bytes/1e9)
	}
	skew := time.Duration(now.by["millrace_clock_skew_seconds"] * float64(time.Second)).Round(100 * time.Millisecond)
	switch {
	case skew.Seconds() > clockTooFarAway:
		add("MillraceClockSkew", "The clock of its machine is %s ahead of the database's.", skew)
	case skew.Seconds() < -clockTooFarAway:
		add("MillraceClockSkew", "The clock of its machine is %s behind the database's.", -skew)
	}
	return signs
}

func intakeSigns(minute counts, add func(alert, text string, args ...any)) {
	const placements = "millrace_http_request_duration_seconds/placeOrder/"
	if n := minute.sum("millrace_overload_total"); n > 0 {
		add("MillraceOverloaded", "It turned %.0f requests away within the last minute: too many were in flight.", n)
	}
	all, failed := minute.sum(placements), minute.sum(placements+"5")
	stopped := minute.sum("order_requests_total/create/stopped") // an operator's decision
	if wrong := failed - stopped; wrong >= fewErrors && wrong > failedShare*(all-stopped) {
		add("MillraceIntakeErrorsFast", "It answered %.0f of %.0f placements 5xx within the last minute.", wrong, all-stopped)
	}
	answered := all - failed
	slow := answered - (minute.inTime(placements) - minute.inTime(placements+"5"))
	if answered >= fewCases && slow > slowShare*answered {
		add("MillraceIntakeLatencyFast", "It took longer than 250 ms for %.0f of %.0f placements within the last minute.",
			slow, answered)
	}
}

func databaseSigns(minute counts, add func(alert, text string, args ...any)) {
	const errors = "millrace_database_errors_total/"
	if n := minute.sum(errors + "unavailable"); n >= fewErrors {
		add("MillraceDatabaseUnavailable", "Its connections to Postgres failed or broke off %.0f times within the last "+
			"minute.", n)
	}
	waited := map[string]float64{}
	for _, class := range []string{"busy", "timeout", "lock"} {
		if n := minute.sum(errors + class); n > 0 {
			waited[class] = n
		}
	}
	if total(waited) >= fewErrors {
		add("MillraceDatabaseSlow", "Its statements waited too long within the last minute: %s.", enumerated(waited))
	}
	if n := minute.sum(errors + "resources"); n > 0 {
		add("MillraceDatabaseRefuses", "Postgres refused %.0f of its statements within the last minute, for a lack of disk "+
			"space, memory or connections.", n)
	}
	if n := minute.sum(errors + "read_only"); n > 0 {
		add("MillraceDatabaseRefuses", "Postgres takes no writes: it refused %.0f of its statements within the last "+
			"minute.", n)
	}
}

func providerSigns(minute counts, add func(alert, text string, args ...any)) {
	wrong := minute.values("millrace_upstream_request_duration_seconds/misconfigured/")
	for _, provider := range slices.Sorted(maps.Keys(wrong)) {
		add("MillraceProviderMisconfigured", "Calls that the %s provider answered within the last minute as if the URL or "+
			"the token were wrong: %.0f.", provider, wrong[provider])
	}
	const steps = "millrace_step_duration_seconds/"
	refused := minute.values(steps + "refused/")
	for _, step := range slices.Sorted(maps.Keys(refused)) {
		var all float64
		for name, n := range minute.by {
			if strings.HasPrefix(name, steps) && strings.HasSuffix(name, "/"+step) {
				all += n
			}
		}
		if all >= fewCases && refused[step] > refusedShare*all {
			add("MillraceProviderRefuses", "The provider refused %.0f of %.0f times to %s within the last minute.",
				refused[step], all, strings.ReplaceAll(step, "_", " "))
		}
	}
	mails := minute.values("millrace_notifications_total/")
	if failed := mails["refused"] + mails["unknown"]; failed > mailShare*total(mails) {
		add("MillraceMailFailing", "%.0f of %.0f e-mails within the last minute were refused, or have an unknown outcome.",
			failed, total(mails))
	}
}

func webhookSigns(lately counts, add func(alert, text string, args ...any)) {
	if given := lately.values("millrace_webhook_deliveries_given_up_total/"); len(given) > 0 {
		add("MillraceWebhooksGivenUp", "Messages to webhooks were given up within the last 15 minutes: %s.",
			enumerated(given))
	}
	if disabled := lately.values("millrace_webhooks_disabled_total/"); len(disabled) > 0 {
		add("MillraceWebhookDisabled", "Webhooks were disabled within the last 15 minutes: %s.", enumerated(disabled))
	}
	if lately.sum("millrace_webhook_log_expired_total") > 0 {
		add("MillraceWebhookEventsLost", "Webhooks have missed events: the log was pruned before the fan-out read it.")
	}
}

func total(values map[string]float64) (sum float64) {
	for _, n := range values {
		sum += n
	}
	return sum
}

// enumerated lists values as in "3 lock, 1 timeout".
func enumerated(values map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%.0f %s", values[name], strings.ReplaceAll(name, "_", " ")))
	}
	return strings.Join(parts, ", ")
}
