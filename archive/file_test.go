package archive_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/archive"
)

// TestReadBack: a file from which an order does not come back as it was read from the database is not used.
func TestReadBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.place(t, 2, "a", "b")
	list, _, err := s.store.Archive.Read(t.Context(), s.due(t))
	require.NoError(t, err)
	require.NoError(t, archiver(s.store, s.dir).WriteFile(list))
	list[1].CustomerEmail = "ada\xff@example.com" // JSON has no such character
	require.ErrorIs(t, archiver(s.store, s.dir).WriteFile(list), archive.ErrDamaged)
}
