//go:build !linux

package storetest

import (
	"fmt"
	"os/exec"
	"testing"
)

// NewPooler skips the test: PgBouncer is tested on Linux.
func NewPooler(t testing.TB, _, _ string) *Pooler {
	t.Helper()
	t.Skip("PgBouncer is tested on Linux")
	return nil
}

// PoolerKeepsStatements skips the test, as NewPooler does.
func PoolerKeepsStatements(t testing.TB) bool {
	t.Helper()
	t.Skip("PgBouncer is tested on Linux")
	return false
}

func startPooler(_, _, _ string) (*Pooler, error) {
	return nil, fmt.Errorf("find pgbouncer: %w", exec.ErrNotFound)
}

func (p *Pooler) stop() {}
