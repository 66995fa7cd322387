package store

import "time"

// StopClock has time pass for a Recent only when the function that it returns is called, between other calls.
func (r *Recent) StopClock() (pass func(time.Duration)) {
	at := time.Now()
	r.now = func() time.Time { return at }
	return func(d time.Duration) { at = at.Add(d) }
}
