//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	patience = 3 * time.Second       // with a live server; a server that is stopping has as long as it needs
	interval = 10 * time.Millisecond // between two checks
)

// lock takes the home for one server.
//
// The lock is a flock on a file descriptor that the server inherits and passes on to all its processes. So it is held
// while any of them lives, and released when the last of them ends, in whatever way. A pid cannot show that: pids are
// reused, and do not exist yet during a start. The pid file is read to name the server, and to notice a server that was
// started by hand.
//
// lock waits for a server that is stopping. Errors: *RunningError; the context's.
func (h home) lock(ctx context.Context, log *slog.Logger) (*os.File, error) {
	deadline := time.Now().Add(patience)
	for told := false; ; told = true {
		file, err := tryLock(h.lockFile())
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", h.dir, err)
		}
		server := h.server(file != nil)
		if file != nil {
			if server.pid == 0 {
				return file, nil
			}
			_ = file.Close()
		}
		if server.status == "stopping" {
			deadline = time.Now().Add(patience)
		}
		if time.Now().After(deadline) {
			return nil, &RunningError{Dir: h.dir, PID: server.pid}
		}
		if !told {
			log.InfoContext(ctx, "waiting for another postgres to leave", "dir", h.dir, "pid", server.pid)
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

// server returns the live server in the home. If our process has the lock, no server of ours is running. Then a pid
// file whose pid belongs to a different program is removed: Postgres would mistake that program for a server, and
// refuse to start. All other stale pid files are left to Postgres, which checks them against shared memory.
func (h home) server(locked bool) pidfile {
	for _, dir := range h.dataDirs() {
		data, err := filepath.EvalSymlinks(dir) // a user may have moved it to a different disk
		if err != nil {
			continue
		}
		p := readPidfile(data)
		if !p.alive() {
			continue
		}
		if serves(p.pid, data) {
			return p
		}
		if locked {
			_ = os.Remove(filepath.Join(data, pidfileName))
		}
	}
	return pidfile{}
}

// tryLock returns the locked file; nil if another process has the lock. Closing the file unlocks it, unless a child
// process has inherited it; then the end of the child unlocks it. Never use LOCK_UN: it would release the child's lock,
// too.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, nil
	}
	return nil, err
}

// pause waits one interval. Its error is the context's cause.
func pause(ctx context.Context) error {
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
