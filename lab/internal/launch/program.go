// Package launch starts, watches and ends the programs that the laboratories run: millrace itself, the servers it is
// compared with, and the simulators. Both laboratories are modules of their own. This package belongs to the module of
// Millrace, which both require, and imports the standard library alone, so that it adds nothing to a go.mod.
package launch

import (
	"context"
	"os/exec"
	"runtime"
)

// Program describes a program to start.
type Program struct {
	Path string
	Args []string
	Env  []string // the whole environment: nothing is inherited
	Log  string   // a file that gets the output, in addition to Tail; empty: none
}

// Start starts a program, which dies with this one. It returns before the program is ready: see AwaitReady. No context
// ends the program: work that runs until a deadline is stopped after the deadline, in order.
//
// The program gets a process group of its own, so that Ctrl-C reaches the laboratory alone.
func Start(p Program) (*Process, error) {
	out, err := newOutput(p.Log)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), p.Path, p.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.Env, out, out
	cmd.WaitDelay, cmd.SysProcAttr = outputGrace, dieWithParent()
	started, begun := &Process{cmd: cmd, output: out, done: make(chan struct{})}, make(chan error, 1)
	go func() {
		defer out.close()
		runtime.LockOSThread() // the kernel ends the program with the thread that started it
		err := cmd.Start()
		begun <- err
		if err == nil {
			_ = cmd.Wait() // it also sets the state, which has more detail
			close(started.done)
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	return started, nil
}
