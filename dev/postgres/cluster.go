//go:build darwin || linux

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// initialize makes the data directory, unless there is a complete one. The caller has the lock.
//
// initdb runs in a directory of its own that is renamed when it is done, so that an interrupted one leaves nothing that
// looks like a cluster. It does not sync: a machine that loses power in the first half minute of a new cluster may lose
// the cluster, which nobody has put anything into; from the first checkpoint on it is as durable as any.
func (h home) initialize(ctx context.Context, b binaries, log *slog.Logger) error {
	data := h.data(b.major)
	h.sweep()
	if complete(data) {
		return nil
	}
	if _, err := os.Lstat(data); err == nil {
		broken := data + ".broken"
		log.WarnContext(ctx, "setting an incomplete data directory aside", "dir", data, "to", broken)
		if err := os.RemoveAll(broken); err != nil {
			return err
		}
		if err := os.Rename(data, broken); err != nil {
			return err
		}
	}
	log.InfoContext(ctx, "making a postgres cluster", "dir", data, "version", b.version)
	fresh, err := os.MkdirTemp(h.dir, filepath.Base(data)+".new-")
	if err != nil {
		return err
	}
	if h.owner.dropped {
		if err := os.Lchown(fresh, h.owner.uid, h.owner.gid); err != nil {
			return err
		}
	}
	if err := h.initdb(ctx, b, fresh); err != nil {
		_ = os.RemoveAll(fresh)
		return err
	}
	return os.Rename(fresh, data)
}

func (h home) initdb(ctx context.Context, b binaries, data string) error {
	runtime.LockOSThread() // see dieWithParent
	defer runtime.UnlockOSThread()
	out, err := h.owner.command(ctx, b, "initdb", "-D", data, "-U", User, "--auth=trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb %s in %s: %w\n%s", b.version, data, err, tail(string(out)))
	}
	return nil
}

// complete reports whether a data directory is a cluster: without pg_control there is nothing Postgres could open.
func complete(data string) bool {
	for _, name := range []string{"PG_VERSION", "global/pg_control"} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// sweep removes what interrupted starts left.
func (h home) sweep() {
	for _, dir := range h.dataDirs() {
		if strings.Contains(filepath.Base(dir), ".new-") {
			_ = os.RemoveAll(dir)
		}
	}
}

// Reset wipes the cluster in dir, of every major version, with its logs and its socket. The directory itself stays,
// with its lock. A directory that is missing is wiped already.
//
// Errors: *RunningError when a server lives in it, after 3 s for it to leave; nothing has been removed then.
func Reset(dir string) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	owner, err := serverAccount()
	if err != nil {
		return err
	}
	h, err := openHome(dir, owner)
	if err != nil {
		return err
	}
	lock, err := h.lock(context.Background(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, path := range append(h.dataDirs(), h.socketDir(), h.logFile(), h.logFile()+previous) {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("reset %s: %w", dir, err)
		}
	}
	return nil
}
