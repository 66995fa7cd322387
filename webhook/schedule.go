package webhook

import (
	"math/rand/v2"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// schedule is the specification's, some 75.5 hours in all: the waits between the attempts.
//
//nolint:gochecknoglobals // a constant table
var schedule = [orders.WebhookAttempts - 1]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// Wait returns the time from a failed attempt, the first being 1, to the next; false after the last attempt. It adds up
// to a tenth to the schedule, so that messages that failed together do not return together.
//
// Full jitter, the usual choice, would halve the time in which a receiver can be repaired.
func Wait(attempt int) (time.Duration, bool) {
	if attempt < 1 || attempt > len(schedule) {
		return 0, false
	}
	wait := schedule[attempt-1]
	return wait + rand.N(wait/10), true
}

const (
	firstPause = time.Second
	longPause  = 5 * time.Minute
)

// Pause returns how long a webhook is left alone after failures in a row, of whichever messages: half to all of 2^n
// seconds, at most five minutes. So a webhook that is down costs an attempt of one message, not of all.
func Pause(failures int) time.Duration {
	ceiling := min(firstPause<<min(max(failures-1, 0), 10), longPause)
	return ceiling/2 + rand.N(ceiling/2)
}
