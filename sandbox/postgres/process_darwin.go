package postgres

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent does nothing: macOS has no such signal. After a kill -9 of our process the server stays, and the next
// Start returns ErrRunning with its pid.
func dieWithParent(*syscall.SysProcAttr) {}

// serves reports whether the process is a server on the data directory, by its command line.
func serves(pid int, data string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), data)
}
