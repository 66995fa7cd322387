package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// TestToldOutdated: a breaker that opens or closes is told at once, and so is trouble; anything else every two seconds.
// The board needs it, to show a change in time.
func TestToldOutdated(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	seen := func(breaker string, inFlight int) store.ProcessReport {
		return store.ProcessReport{Lanes: map[orders.Provider]store.LaneView{
			orders.Payment: {Breaker: breaker, InFlight: inFlight},
		}}
	}
	require.True(t, told{}.outdated(seen("closed", 0), at), "nothing is told yet")
	last := told{breakersOf(seen("closed", 0)), "", at}
	require.False(t, last.outdated(seen("closed", 9), at.Add(presenceEvery)))
	require.True(t, last.outdated(seen("open", 0), at.Add(presenceEvery)))
	require.True(t, last.outdated(seen("closed", 0), at.Add(reportEvery)))
	troubled := seen("closed", 0)
	troubled.Troubles = []store.Trouble{{Alert: "MillraceOverloaded", Text: "It turned 1 request away."}}
	require.True(t, last.outdated(troubled, at))
	last = told{breakersOf(troubled), alerts(troubled.Troubles), at}
	troubled.Troubles[0].Text = "It turned 2 requests away."
	require.False(t, last.outdated(troubled, at))
	require.True(t, last.outdated(seen("closed", 0), at), "it is over")
	require.LessOrEqual(t, presenceEvery, 500*time.Millisecond, "package board counts on it")
}
