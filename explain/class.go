package explain

import (
	"regexp"
	"strings"
)

// statusPattern finds the status of an answer in the text of an error.
var statusPattern = regexp.MustCompile(`\b(?:status|answered) ([1-5][0-9][0-9])\b`)

// classOf sums up the text of an error in a word that can be counted. The texts are those of the calls of providers.
func classOf(text string) string {
	if text == "" {
		return ""
	}
	for _, class := range []struct{ part, name string }{
		{"wrong URL, token or adapter", "misconfigured"},
		{"share no protocol", "misconfigured"},
		{"allow no common protocol", "misconfigured"},
		{"circuit breaker is open", "breaker_open"},
		{"no answer in time", "timeout"},
		{"deadline exceeded", "timeout"},
		{"cannot connect", "cannot_connect"},
		{"certificate", "certificate"},
		{"connection lost", "connection_lost"},
		{"panic", "panic"},
	} {
		if strings.Contains(text, class.part) {
			return class.name
		}
	}
	if status := statusPattern.FindStringSubmatch(text); status != nil {
		return "status_" + status[1]
	}
	return "other"
}
