//go:build darwin || linux

package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pidfile is the content of postmaster.pid, which the server writes into its data directory. Zero: there is no such
// file.
//
// Source: src/include/utils/pidfile.h; line 1 is the pid, line 8 the status, padded with blanks.
type pidfile struct {
	pid    int
	status string // starting, ready, stopping
}

const pidfileName = "postmaster.pid"

func readPidfile(data string) pidfile {
	text, err := os.ReadFile(filepath.Join(data, pidfileName))
	if err != nil {
		return pidfile{}
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return pidfile{} // still being written
	}
	p := pidfile{pid: pid}
	if len(lines) >= 8 {
		p.status = strings.TrimSpace(lines[7])
	}
	return p
}

// alive reports whether the process exists: the server, or a program that got its pid later.
func (p pidfile) alive() bool {
	if p.pid == 0 {
		return false
	}
	err := syscall.Kill(p.pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
