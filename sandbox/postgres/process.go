//go:build darwin || linux

package postgres

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// process is a running postgres.
type process struct {
	*os.Process
	done chan struct{} // closed when it has exited
	err  error         // how it exited; valid after done
}

// launch starts the command in a goroutine that stays on its thread until the process has exited, because dieWithParent
// takes effect when the thread ends. The goroutine ends locked, so the thread ends with it, after the process.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		p.Process = cmd.Process
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

const previous = ".1" // the suffix of the log of the start before

// openLog opens the server's log, and keeps the log before it: after a crash the reason is there.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+previous); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

// tail returns the last 20 lines.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func logTail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return tail(string(text))
}
