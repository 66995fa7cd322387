package launch

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	tailLines = 30
	longLine  = 64 << 10 // the rest of a longer line is not kept
)

// Ready is the announcement of a program that is ready.
type Ready struct {
	API, Ops string        // host:port; empty if the program does not announce it
	Startup  time.Duration // from its start to the announcement
}

// output follows a program's output. It keeps the last lines, and finds the line that announces that the program is
// ready.
type output struct {
	log     *os.File // nil for none
	started time.Time
	ready   chan Ready // gets one announcement

	mu        sync.Mutex
	announced bool
	lines     []string
	rest      []byte // a line that has not ended yet
}

// newOutput makes an output that is also appended to a file, unless its name is empty.
func newOutput(name string) (o *output, err error) {
	o = &output{started: time.Now(), ready: make(chan Ready, 1)}
	if name != "" {
		o.log, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
	return o, err
}

func (o *output) close() {
	if o.log != nil {
		_ = o.log.Close()
	}
}

// Write takes the program's output. It never fails: a program must not get an error because a laboratory's disk is
// full.
func (o *output) Write(b []byte) (int, error) {
	if o.log != nil {
		_, _ = o.log.Write(b)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for rest := b; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		o.rest = append(o.rest, line[:min(len(line), longLine-len(o.rest))]...)
		if whole {
			o.add(string(o.rest))
			o.rest = o.rest[:0]
		}
		rest = after
	}
	return len(b), nil
}

func (o *output) add(line string) {
	o.lines = append(o.lines[max(0, len(o.lines)-tailLines+1):], line)
	if o.announced {
		return
	}
	if ready, ok := announcement(line); ok {
		o.announced = true
		ready.Startup = time.Since(o.started)
		o.ready <- ready
	}
}

// announcement reads the line that announces that a program is ready. Millrace and the laboratories' programs announce
// it in JSON, after other lines of JSON. Of all other programs the first line counts.
func announcement(line string) (Ready, bool) {
	var said struct{ Msg, API, Ops string }
	if json.Unmarshal([]byte(line), &said) != nil {
		return Ready{}, true
	}
	return Ready{API: said.API, Ops: said.Ops}, said.Msg == "ready"
}

func (o *output) last(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	if len(o.rest) > 0 {
		lines = append(slices.Clip(lines), string(o.rest))
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
