package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/archive"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// TestForgottenCustomer: files are named that still have the customer, and nothing of it is left in the database.
func TestForgottenCustomer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.place(t, 3, "a", "b", "c")
	_, err := archiver(s.store, s.dir).Run(t.Context())
	require.NoError(t, err)
	forgotten, err := s.store.Customers.Forget(t.Context(), "ada", store.Actor{Name: "test", Role: "admin"})
	require.NoError(t, err)
	require.Len(t, forgotten.Files, 2)
	require.EqualValues(t, 3, forgotten.Files[0].Orders+forgotten.Files[1].Orders)
	require.FileExists(t, filepath.Join(s.dir, forgotten.Files[0].Name))
	require.Zero(t, s.count(t, "archived_orders WHERE fingerprint <> decode(repeat('00', 32), 'hex')"))
	again, err := s.store.Orders.Place(t.Context(), []orders.Placement{placement("a")})
	require.NoError(t, err)
	require.ErrorIs(t, again[0].Err, orders.ErrIdempotencyMismatch)
}

// grep returns the files that have a text.
func (s *shop) grep(t *testing.T, text string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.ndjson"))
	require.NoError(t, err)
	for _, f := range files {
		content, err := os.ReadFile(f)
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			names = append(names, f)
		}
	}
	return names
}

// TestDamagedFile: orders whose file is lost, cut or changed after they were registered stay, and go into another file.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"Lost": os.Remove,
		"Cut":  func(path string) error { return os.Truncate(path, 100) },
		"Changed": func(path string) error {
			content, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(content, []byte("ada@"), []byte("eve@"), 1), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			s.place(t, 2, "a", "b")
			list, _, err := s.store.Archive.Read(t.Context(), s.due(t))
			require.NoError(t, err)
			f, err := archive.Write(s.dir, "x.ndjson", list)
			require.NoError(t, err)
			_, err = s.store.Archive.Register(t.Context(), f, list)
			require.NoError(t, err)
			require.NoError(t, damage(filepath.Join(s.dir, "x.ndjson")))
			n, err := archiver(s.store, s.dir).Run(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			require.Zero(t, s.count(t,
				"archived_orders a JOIN millrace.archive_files f ON f.id = a.file_id WHERE f.name = 'x.ndjson'"))
			require.Equal(t, 2, s.count(t, "archived_orders"))
		})
	}
}
