package webhook

import (
	"math/rand/v2"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// schedule is that of the specification, 75 hours and a half in all: the waits between the attempts.
//
//nolint:gochecknoglobals // a constant table
var schedule = [orders.WebhookAttempts - 1]time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour,
	20 * time.Hour, 24 * time.Hour,
}

// Wait is the time from an attempt that failed, the first being 1, to the next: up to a tenth longer than the schedule
// says, so that what failed together does not come back together. false: that was the last.
//
// Full jitter, the usual, would halve the time that a receiver has to be repaired in.
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

// Pause is for how long an endpoint is left alone after failures in a row, whichever messages they were of: half to all
// of 2^n seconds, at most five minutes. One that is down costs an attempt of one message then, not of all.
func Pause(failures int) time.Duration {
	ceiling := min(firstPause<<min(max(failures-1, 0), 10), longPause)
	return ceiling/2 + rand.N(ceiling/2)
}
