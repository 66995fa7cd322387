// Package failpoint marks the lines where a crash, a panic or a delay matters most, so that the laboratories
// (lab/faults, lab/alerts) can cause one there on purpose. The points are always compiled in, so the laboratories test
// what ships. A point that is not armed costs one atomic load.
//
// Every package may import it; it imports the standard library. Only cmd arms it, from MILLRACE_FAILPOINTS.
package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// point is the action of an armed point.
type point struct {
	pause  time.Duration // 0: the process is killed, or the caller panics
	panics bool
	spare  atomic.Int64 // hits that pass before the action
}

// armed is nil unless a point is armed. In production, Hit reads nothing else.
//
//nolint:gochecknoglobals // a point must be reachable from any line, and is the same for the whole process
var armed atomic.Pointer[map[string]*point]

// Arm replaces the actions of all points. name=crash@n kills this process, as kill -9 does, at the n-th hit.
// name=pause:500ms@n delays every hit from the n-th on, and name=panic@n has it panic. Without @n, the action starts
// with the first hit. Commas separate several actions. An empty text disarms all points.
func Arm(text string) error {
	if text == "" {
		armed.Store(nil)
		return nil
	}
	points := map[string]*point{}
	for part := range strings.SplitSeq(text, ",") {
		name, action, _ := strings.Cut(part, "=")
		p, err := parse(action)
		if err != nil || name == "" {
			return fmt.Errorf("failpoint %q must be like name=crash@2, name=panic or name=pause:500ms", part)
		}
		points[name] = p
	}
	armed.Store(&points)
	return nil
}

func parse(action string) (*point, error) {
	p := new(point)
	action, count, counted := strings.Cut(action, "@")
	if counted {
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || n == 0 {
			return nil, strconv.ErrRange
		}
		p.spare.Store(int64(n) - 1)
	}
	pause, ok := strings.CutPrefix(action, "pause:")
	switch {
	case action == "crash":
		return p, nil
	case action == "panic":
		p.panics = true
		return p, nil
	case !ok:
		return nil, strconv.ErrSyntax
	}
	var err error
	if p.pause, err = time.ParseDuration(pause); err == nil && p.pause <= 0 {
		err = strconv.ErrRange
	}
	return p, err
}

// Hit is a point. The name must be a unique literal: the harness reads the list of points from the source.
func Hit(name string) {
	if points := armed.Load(); points != nil {
		(*points)[name].hit(name)
	}
}

func (p *point) hit(name string) {
	if p == nil || p.spare.Add(-1) >= 0 {
		return
	}
	if p.panics {
		panic("failpoint " + name)
	}
	if p.pause > 0 {
		<-time.After(p.pause)
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // wait for the signal
}
