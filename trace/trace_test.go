package trace_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/trace"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID      = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

// Strangers send the header. What is not a traceparent is none.
func TestParseTraceparent(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		traceparent:                       traceparent,
		"01" + traceparent[2:] + "-later": traceparent,
		"cc" + traceparent[2:]:            traceparent,
		"":                                "",
		traceparent[:54]:                  "",
		traceparent + "-":                 "",
		"ff" + traceparent[2:]:            "",
		"01" + traceparent[2:] + "x":      "",
		strings.ToUpper(traceparent):      "",
		strings.Replace(traceparent, "f", "\n", 1):                  "",
		strings.Replace(traceparent, "-0", "_0", 1):                 "",
		"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01":      "",
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01":     "",
		"01" + traceparent[2:] + "-" + strings.Repeat("x", 1000):    "",
		"00-" + traceID + "-" + spanID + "-0" + "\u00e9"[:1]:        "",
		"00-" + traceID[:31] + "\x00-" + spanID + "-01":             "",
		"00-" + traceID + "-" + spanID + "-01, " + traceparent[:20]: "",
	} {
		require.Equal(t, want, trace.ParseTraceparent(header), "%q", header)
	}
	require.Equal(t, traceID, trace.IDOf(traceparent))
	require.Empty(t, trace.IDOf(""))
}

func FuzzParseTraceparent(f *testing.F) {
	f.Add(traceparent)
	f.Add("01" + traceparent[2:] + "-later")
	f.Fuzz(func(t *testing.T, header string) {
		parsed := trace.ParseTraceparent(header)
		if parsed == "" {
			return
		}
		require.Len(t, parsed, len(traceparent))
		require.Equal(t, parsed, trace.ParseTraceparent(parsed))
		require.Equal(t, header[2:len(traceparent)], parsed[2:])
	})
}

// A line has the ids of its scope, each once.
func TestHandler(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	logger := slog.New(trace.Handler{Handler: slog.NewJSONHandler(&out, nil)})
	id := orders.NewID()
	ctx := trace.OrderOf(t.Context(), id, orders.Origin{RequestID: "r1", Traceparent: traceparent})
	logger.With("part", "x").InfoContext(ctx, "with a scope", "order_id", "its own")
	logger.InfoContext(t.Context(), "without")
	logger.InfoContext(trace.NewScope(orders.Origin{}).Into(t.Context()), "of nothing")

	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		require.Equal(t, 1, max(1, strings.Count(line, "order_id")), line)
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		delete(fields, "time")
		lines = append(lines, fields)
	}
	require.Equal(t, []map[string]any{
		{
			"level": "INFO", "msg": "with a scope", "part": "x", "order_id": "its own", "request_id": "r1",
			"trace_id": traceID, "span_id": spanID,
		},
		{"level": "INFO", "msg": "without"},
		{"level": "INFO", "msg": "of nothing"},
	}, lines)
}

// The line of an order's end has each step, and nothing of the customer.
func TestLogEnd(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	logger := slog.New(trace.Handler{Handler: slog.NewJSONHandler(&out, nil)})
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	o := orders.Place(orders.Placement{
		CustomerID: "ada-1", CustomerEmail: "ada@example.com", PaymentMethod: "ada's card", Currency: orders.USD,
		Items:           []orders.Item{{ProductID: 1, Quantity: 1, Price: 100}},
		ShippingAddress: &orders.Address{Name: "Ada", Line1: "1 Main St", City: "Springfield", Country: "US"},
		Origin:          orders.Origin{RequestID: "r1", Traceparent: traceparent},
	}, orders.NewID(), at).Order
	o.UpdatedAt, o.Reason = at.Add(2*time.Second), "ada asked for it"
	for i := range o.Steps {
		o.Steps[i].State, o.Steps[i].SettledAt = orders.StateSucceeded, at.Add(time.Second)
	}
	o.Steps[2].State = orders.StatePending
	names := func() (all []string) {
		for _, s := range o.Steps {
			all = append(all, string(s.Name)+":1")
		}
		return all
	}()
	trace.LogEnd(t.Context(), logger, &o, map[string]int{names[1]: 3})

	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(out.String()), &fields))
	delete(fields, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "order ended", "order_id": o.ID.String(), "request_id": "r1", "trace_id": traceID,
		"span_id": spanID, "status": "pending", "version": 1.0, "duration_seconds": 2.0,
		"steps":         map[string]any{names[0]: "succeeded", names[1]: "succeeded", names[2]: "pending"},
		"step_seconds":  map[string]any{names[0]: 1.0, names[1]: 1.0},
		"step_attempts": map[string]any{names[1]: 3.0},
	}, fields)
	for _, personal := range []string{"ada", "Ada", "Main"} {
		require.NotContains(t, out.String(), personal)
	}
	out.Reset()
	trace.LogEnd(t.Context(), slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})), &o, nil)
	require.Empty(t, out.String())
}
