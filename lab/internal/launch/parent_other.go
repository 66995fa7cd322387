//go:build !linux

package launch

import "syscall"

// dieWithParent does nothing: only Linux ends a program with the one that started it.
func dieWithParent() *syscall.SysProcAttr { return nil }
