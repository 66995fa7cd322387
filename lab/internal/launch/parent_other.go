//go:build !linux

package launch

import "syscall"

// dieWithParent does nothing: only Linux can end a program together with the program that started it.
func dieWithParent() *syscall.SysProcAttr { return nil }
