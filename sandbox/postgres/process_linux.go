package postgres

import (
	"fmt"
	"os"
	"syscall"
)

// dieWithParent has the kernel send SIGINT, a fast shutdown, to the child when the thread that started it exits. So
// after a kill -9 of our process the server stops by itself, cleanly.
//
// PR_SET_PDEATHSIG(2const) is about the thread, not the process, and the Go runtime may end any thread. So the child
// must be started by a goroutine that is locked to its thread (runtime.LockOSThread) and outlives the child.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// serves reports whether the process is a server on the data directory: a postmaster's working directory is its data
// directory. A process that we may not inspect belongs to a different user, so it is not our server.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == data
}
