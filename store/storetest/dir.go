package storetest

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// dirs begins the names of the directories of test servers. The process that made one follows.
const dirs = "millrace-test-"

// Dir makes a directory for the data of a Postgres that ends with the test.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := newDir()
	require.NoError(t, err)
	t.Cleanup(func() { removeDir(dir) })
	return dir
}

// newDir makes what t.TempDir cannot: a directory with a short path, because a socket's path is limited, which other
// users can enter, because root's server runs as another user.
func newDir() (string, error) {
	dir, err := os.MkdirTemp(root(), dirs+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func removeDir(dir string) {
	_ = postgres.Reset(dir) // waits until its server has ended
	_ = os.RemoveAll(dir)
}
