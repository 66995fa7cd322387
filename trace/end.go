package trace

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/millrace-orders/millrace/orders"
)

// LogEnd writes the line of an order that has come to rest: how it ended, how long that took, and each step. attempts
// has the attempts at steps that took more than one, by the step's name and generation. Reasons are left out: they may
// be an operator's own words, and about a person.
func LogEnd(ctx context.Context, logger *slog.Logger, o *orders.Order, attempts map[string]int) {
	if !logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("status", string(o.Status)), slog.Int64("version", o.Version),
		slog.Float64("duration_seconds", o.UpdatedAt.Sub(o.PlacedAt).Seconds()),
	}
	if cause := o.Cause(); cause.Step != "" {
		attrs = append(attrs, slog.String("cause_step", string(cause.Step)),
			slog.String("cause_state", string(cause.State)), slog.String("cause_code", cause.Code))
	}
	seconds, outcomes := []slog.Attr{}, []slog.Attr{}
	for i := range o.Steps {
		s := &o.Steps[i]
		name := stepName(s.Name, s.Generation)
		outcomes = append(outcomes, slog.String(name, string(s.State)))
		if s.State != orders.StatePending {
			seconds = append(seconds, slog.Float64(name, s.SettledAt.Sub(s.StartedAt).Seconds()))
		}
	}
	tries := []slog.Attr{}
	for _, name := range slices.Sorted(maps.Keys(attempts)) {
		tries = append(tries, slog.Int(name, attempts[name]))
	}
	attrs = append(attrs, group("steps", outcomes), group("step_seconds", seconds))
	if len(tries) > 0 {
		attrs = append(attrs, group("step_attempts", tries))
	}
	logger.LogAttrs(OrderOf(ctx, o.ID, o.Origin), slog.LevelInfo, "order ended", attrs...)
}

func group(name string, attrs []slog.Attr) slog.Attr {
	return slog.Attr{Key: name, Value: slog.GroupValue(attrs...)}
}

func stepName(name orders.StepName, generation int) string {
	return string(name) + ":" + strconv.Itoa(generation)
}
