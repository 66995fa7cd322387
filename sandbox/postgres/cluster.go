//go:build darwin || linux

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	versionFile = "PG_VERSION"
	controlFile = "global/pg_control"
)

// choose returns the data directory and binaries that can read it. Existing data decides the version: a newer
// PostgreSQL cannot read it, and an empty cluster beside it would look as if all orders were gone. The caller must hold
// the lock.
//
// Errors: *VersionError; the error of finding binaries.
func (h home) choose(ctx context.Context, f finder) (data string, b binaries, err error) {
	clusters := h.clusters()
	if len(clusters) == 0 {
		b, err = f.find(ctx, f.major)
		return h.data(b.major), b, err
	}
	c := clusters[0]
	if f.bin != "" {
		if b, err = f.find(ctx, 0); err != nil {
			return "", b, err
		}
		if i := slices.IndexFunc(clusters, func(c cluster) bool { return c.major == b.major }); i >= 0 {
			return clusters[i].dir, b, nil
		}
		return "", b, &VersionError{Dir: c.dir, Data: c.major, Err: fmt.Errorf("%s has PostgreSQL %s", f.bin, b.version)}
	}
	for _, other := range clusters[1:] {
		h.warn(ctx, f.log, c, other)
	}
	b, err = f.find(ctx, c.major)
	if err != nil {
		if ctx.Err() == nil {
			err = &VersionError{Dir: c.dir, Data: c.major, Err: err}
		}
		return "", b, err
	}
	if newer, ok := f.newest(ctx, f.installed(ctx), 0); ok && newer.major > c.major {
		f.log.InfoContext(ctx, "a newer postgres is installed; the data stays with its own version until you upgrade it: "+
			"docs/configuration.md has the commands", "dir", c.dir, "version", b.version, "newer", newer.version)
	}
	return c.dir, b, nil
}

func (h home) warn(ctx context.Context, log *slog.Logger, used, other cluster) {
	log.WarnContext(ctx, "there are databases of several postgres versions; the one that was used last is used again",
		"dir", used.dir, "other", other.dir, "other_used", other.used.UTC().Format(time.DateTime))
}

// initialize makes the data directory, unless a complete one exists. The caller must hold the lock.
//
// initdb runs in a temporary directory that is renamed at the end, so an interrupted run leaves no directory that looks
// like a cluster. initdb does not sync: a machine that loses power in the first half minute of a new cluster may lose
// the cluster, which has no data yet. From the first checkpoint on, the cluster is as durable as any.
func (h home) initialize(ctx context.Context, data string, b binaries, log *slog.Logger) error {
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

// complete reports whether a data directory is a cluster: without pg_control Postgres cannot open it.
func complete(data string) bool {
	for _, name := range []string{versionFile, controlFile} {
		if info, err := os.Stat(filepath.Join(data, name)); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// sweep removes the remains of interrupted starts.
func (h home) sweep() {
	for _, dir := range h.dataDirs() {
		if strings.Contains(filepath.Base(dir), ".new-") {
			_ = os.RemoveAll(dir)
		}
	}
}

// Reset deletes the clusters in dir, of every major version, with their logs and the socket. The directory remains,
// with its lock. If the directory is missing, there is nothing to delete.
//
// Errors: *RunningError if a server is still running in it after 3 s; then nothing was deleted.
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
