package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	stopPatience  = 30 * time.Second
	startPatience = 60 * time.Second
	tailLines     = 30
)

// process is a program that the bench has started. It dies with the bench.
type process struct {
	cmd     *exec.Cmd
	api     string        // host:port, of what announces it
	ops     string        // likewise
	startup time.Duration // from exec to the announcement

	done chan struct{} // closed when it has ended
	err  error         // why it ended

	mu   sync.Mutex
	tail []string // the last lines it wrote
}

// spawn starts a program. It gets a process group of its own, so that Ctrl-C reaches the bench alone and programs are
// stopped in order.
func spawn(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	// The context is for starting: what has started is stopped by stop.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = cmd.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	announced := make(chan struct{})
	go p.read(out, time.Now(), announced)
	select {
	case <-announced:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended: %w\n%s", name, p.err, p.last())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.stop())
	case <-time.After(startPatience):
		return nil, errors.Join(fmt.Errorf("%s was not ready in %s\n%s", name, startPatience, p.last()), p.stop())
	}
}

// read follows what the program writes until it ends. Programs of the bench, and Millrace, announce that they are
// ready in a line of JSON; of others the first line counts.
func (p *process) read(out io.Reader, started time.Time, announced chan struct{}) {
	defer close(p.done)
	open := true
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct{ Msg, API, Ops string }
		if open && (json.Unmarshal(lines.Bytes(), &line) != nil || line.Msg == "ready") {
			p.api, p.ops, p.startup = line.API, line.Ops, time.Since(started)
			close(announced)
			open = false
		}
		p.mu.Lock()
		p.tail = append(p.tail[max(0, len(p.tail)-tailLines+1):], lines.Text())
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, out) // a line that is too long for the scanner must not block the program
	p.err = p.cmd.Wait()
}

func (p *process) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.tail, "\n")
}

// alive says why the program is not running any more, if so.
func (p *process) alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %w\n%s", p.cmd.Path, p.err, p.last())
	default:
		return nil
	}
}

// stop interrupts the program and waits for it.
func (p *process) stop() error { return p.end(os.Interrupt) }

// terminate is stop for programs to which an interrupt means something else.
func (p *process) terminate() error { return p.end(syscall.SIGTERM) }

func (p *process) end(signal os.Signal) error {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop in %s", p.cmd.Path, stopPatience)
	}
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }
