package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnderWay(t *testing.T) {
	t.Parallel()
	require.Empty(t, (&node{}).underWay(), "a process without workers")
	running := map[string]int{}
	n := &node{running: func() map[string]int { return running }}
	require.Empty(t, n.underWay(), "no job runs")
	running["webhooks"], running["payment"] = 1, 2
	require.Equal(t, []any{"running", "payment: 2, webhooks: 1"}, n.underWay())
}
