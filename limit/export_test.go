package limit

import "context"

// Flush shares what was counted, as Run does.
func (l *Limiter) Flush() { l.flush(context.Background()) }

// Sweep forgets the subjects that have gone, as Run does.
func (l *Limiter) Sweep() { l.sweep(context.Background()) }

// Known is how many subjects are in memory.
func (l *Limiter) Known() (subjects, unsent int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.subjects), len(l.unsent)
}
