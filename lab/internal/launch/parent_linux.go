package launch

import "syscall"

// dieWithParent leaves no program behind when the laboratory is killed.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
