package jobs

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A role that does not own River's tables has River rebuild no indexes. To River nil would mean all of its own.
func TestRebuiltIndexes(t *testing.T) {
	t.Parallel()
	require.Contains(t, Config{}.rebuilt(), "river_job_kind")
	none := Config{KeepIndexes: true}.rebuilt()
	require.NotNil(t, none)
	require.Empty(t, none)
}
