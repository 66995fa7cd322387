package postgres

import (
	"fmt"
	"os"
	"syscall"
)

// dieWithParent has the kernel send SIGINT, a fast shutdown, to the child when the thread that started it exits: after
// a kill -9 of our process the server leaves by itself, cleanly.
//
// The thread, not the process, see PR_SET_PDEATHSIG(2const): the Go runtime ends threads as it likes, so the child must
// be started by a goroutine that is locked to its thread (runtime.LockOSThread) and outlives the child.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// serves reports whether the process is a server on the data directory: a postmaster's working directory is its data.
// One that we may not look at is another user's, and no server of ours.
func serves(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && cwd == data
}
