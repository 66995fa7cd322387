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
	patience = 3 * time.Second       // for a live server to leave; a stopping one is waited for as long as it takes
	interval = 10 * time.Millisecond // between two looks
)

// lock takes the home for one server.
//
// It is a flock that the server inherits, as a file descriptor, and passes on to all its processes; so it is held
// while any of them lives, and gone when the last one is, however they ended. That answers what a pid cannot: pids are
// reused and say nothing about a start in progress. The pid file is read to name the server, and to notice one that
// was started by hand.
//
// It waits for a server that is leaving. Errors: *RunningError; the context's.
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

// server finds the live server in the home. When we have the lock it is none of ours, so a pid file whose pid has gone
// to another program is removed: Postgres itself would take that for a server and refuse. All other stale pid files
// are left to Postgres, which checks them against shared memory.
func (h home) server(locked bool) pidfile {
	for _, dir := range h.dataDirs() {
		data, err := filepath.EvalSymlinks(dir) // a user may have moved it to another disk
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

// tryLock returns the locked file, or nil when another process has it. Closing the file unlocks it, unless a child
// process has inherited it; then the child's end does. Never LOCK_UN it: that would unlock it for the child too.
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
