//go:build darwin || linux

package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Clone copies the running server's cluster into dir, as the home of a standby: pass dir to Start. The copy and the
// standby reach the server over primary, a libpq connection string such as "host=127.0.0.1 port=5432 user=millrace
// application_name=standby". A standby that is in dir already is replaced. No server may be running in dir.
func (s *Server) Clone(ctx context.Context, dir, primary string) error {
	h, err := openHome(dir, s.home.owner)
	if err != nil {
		return err
	}
	lock, err := h.lock(ctx, s.log)
	if err != nil {
		return err
	}
	defer lock.Close()
	h.sweep()
	data := h.data(s.Major())
	fresh, err := os.MkdirTemp(h.dir, filepath.Base(data)+".new-")
	if err != nil {
		return err
	}
	if h.owner.dropped {
		if err := os.Lchown(fresh, h.owner.uid, h.owner.gid); err != nil {
			return err
		}
	}
	runtime.LockOSThread() // see dieWithParent
	defer runtime.UnlockOSThread()
	backup := h.owner.command(ctx, s.binaries, "pg_basebackup", "-D", fresh, "-d", primary, "-R", "-X", "stream",
		"-c", "fast", "--no-sync")
	// It has a child that receives WAL. Alone the child would go on, and CombinedOutput would wait for it.
	backup.Cancel = func() error { return syscall.Kill(-backup.Process.Pid, syscall.SIGKILL) }
	out, err := backup.CombinedOutput()
	if err != nil {
		_ = os.RemoveAll(fresh)
		return fmt.Errorf("clone into %s: %w\n%s", dir, err, tail(string(out)))
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	return os.Rename(fresh, data)
}
