package launch

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// outputGrace is for children that outlive the program and hold its output open: Wait would wait for them forever.
const outputGrace = 5 * time.Second

// Process is a program that Start has started.
type Process struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{}
}

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Alive returns nil while the program runs, and afterwards an error with its last lines.
func (p *Process) Alive() error {
	if !p.Ended() {
		return nil
	}
	return fmt.Errorf("%s ended: %s\n%s", p.cmd.Path, p.cmd.ProcessState, p.Tail(tailLines))
}

// State returns how the program ended. It is nil until Done is closed.
func (p *Process) State() *os.ProcessState {
	if !p.Ended() {
		return nil
	}
	return p.cmd.ProcessState
}

// Killed reports whether SIGKILL ended the program, whatever sent it.
func (p *Process) Killed() bool {
	if !p.Ended() {
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Signal sends a signal. Nothing happens if the program has ended.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill ends the program as kill -9 does, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(os.Kill)
	<-p.done
}

// Stop sends a signal and waits. If the program still runs after grace, Stop kills it and returns an error. Any other
// end is not an error: see State.
func (p *Process) Stop(s os.Signal, grace time.Duration) error {
	p.Signal(s)
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.Kill()
		return fmt.Errorf("%s did not stop in %s", p.cmd.Path, grace)
	}
}

// Tail returns at most n of the last lines of the program's output.
func (p *Process) Tail(n int) string { return p.output.last(n) }
