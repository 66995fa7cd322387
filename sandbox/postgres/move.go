//go:build darwin || linux

package postgres

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
)

// Move renames a directory that has a cluster's home in it, while no server lives there. home is the home's name in it.
//
// Errors: *RunningError; the system's, such as syscall.EXDEV between two file systems. Nothing has moved then.
func Move(ctx context.Context, from, to, home string) error {
	owner, err := serverAccount()
	if err != nil {
		return err
	}
	h, err := openHome(filepath.Join(from, home), owner)
	if err != nil {
		return err
	}
	lock, err := h.lock(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer lock.Close()
	return os.Rename(from, to)
}
