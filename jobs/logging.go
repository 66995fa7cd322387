package jobs

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// riverHandler lowers to DEBUG two messages that River logs at INFO: every failed run of every job, and the counts of
// each queue every five seconds. Metrics have both, and in an outage these would be thousands of lines a second.
type riverHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h riverHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelInfo && isRoutine(r.Message) {
		r.Level = slog.LevelDebug
		if !h.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h riverHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return riverHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h riverHandler) WithGroup(name string) slog.Handler {
	return riverHandler{h.Handler.WithGroup(name)}
}

func isRoutine(message string) bool {
	_, message, _ = strings.Cut(message, ": ")
	return message == "Producer job counts" || strings.HasPrefix(message, "Job errored")
}

const (
	tallyEvery = 30 * time.Second // how often a tally logs the same kind
	tallyKinds = 1000             // remembered at most, since some contain a provider's words
)

// tally logs events that may happen hundreds of times a second. It logs the first one at once, and then at most every
// 30 s, with the count since the last line.
type tally struct {
	now    func() time.Time
	logger *slog.Logger

	mu    sync.Mutex
	kinds map[string]*tallied
}

type tallied struct {
	logged time.Time
	count  int
}

func newTally(now func() time.Time, logger *slog.Logger) *tally {
	return &tally{now: now, logger: logger, kinds: map[string]*tallied{}}
}

// error counts an event of a kind, and logs it if a line is due.
func (t *tally) error(ctx context.Context, kind, message string, args ...any) {
	if count, due := t.count(kind); due {
		//nolint:sloglint // the callers' messages are constants
		t.logger.ErrorContext(ctx, message, append(args, "count", count)...)
	}
}

func (t *tally) count(kind string) (count int, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.kinds[kind]
	if seen == nil {
		if len(t.kinds) == tallyKinds {
			clear(t.kinds)
		}
		seen = new(tallied)
		t.kinds[kind] = seen
	}
	seen.count++
	now, count := t.now(), seen.count
	due = seen.logged.IsZero() || now.Sub(seen.logged) >= tallyEvery
	if due {
		seen.logged, seen.count = now, 0
	}
	return count, due
}
