package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestWhoRebuildsIndexes: River rebuilds its indexes at midnight. It must not try as a role that may not, which would
// be an error each night.
func TestWhoRebuildsIndexes(t *testing.T) {
	t.Parallel()
	database, simulators := storetest.URL(t), newSimulators(t)
	leaves := func(url string) bool {
		args := serveArgs(database, simulators)
		args[slices.Index(args, "--database-url")+1] = url
		m := startProcess(t, args...)
		defer m.kill()
		return slices.ContainsFunc(m.said, func(line string) bool {
			return strings.HasPrefix(line, "river does not rebuild its indexes")
		})
	}
	require.True(t, leaves(storetest.As(database, storetest.ServeRole)))
	require.False(t, leaves(database), "the owner may")
}
