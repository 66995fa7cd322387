// Package failpoint marks the lines where a crash or a delay matters most, so that the fault harness (lab/faults) can
// have one there on purpose. The points are always compiled in: what is tested is what ships. A point that is not armed
// costs an atomic load.
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

// point is what happens at an armed point.
type point struct {
	pause time.Duration // 0: the process is killed
	spare atomic.Int64  // hits that are let pass first
}

// armed is nil unless some point is: the one thing that Hit looks at in production.
//
//nolint:gochecknoglobals // a point must be reachable from any line, and is the same for all of the process
var armed atomic.Pointer[map[string]*point]

// Arm sets what happens at which points, in place of whatever was set before: name=crash@n kills this process, as
// kill -9 does, at the n-th hit, name=pause:500ms@n delays every hit from the n-th on; without @n, from the first.
// Several are separated by commas. An empty text disarms all.
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
			return fmt.Errorf("failpoint %q must be like name=crash@2 or name=pause:500ms", part)
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
	case !ok:
		return nil, strconv.ErrSyntax
	}
	var err error
	if p.pause, err = time.ParseDuration(pause); err == nil && p.pause <= 0 {
		err = strconv.ErrRange
	}
	return p, err
}

// Hit is a point. The name must be a literal that no other point has: the harness reads the list from the source.
func Hit(name string) {
	if points := armed.Load(); points != nil {
		(*points)[name].hit()
	}
}

func (p *point) hit() {
	if p == nil || p.spare.Add(-1) >= 0 {
		return
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
	select {} // the signal is on its way
}
