package main

import (
	"io"
	"sync"
	"time"
)

const (
	// logPause is how long a line may wait for others. What a crash loses of the log is not older.
	logPause = 20 * time.Millisecond
	logRoom  = 32 << 10
)

// logWriter writes lines together if they follow one another closely: a busy server would otherwise make a call of the
// system for each request. A line that follows none is written at once. It is safe for concurrent use.
type logWriter struct {
	to io.Writer

	mu      sync.Mutex
	held    []byte
	written time.Time
}

// Write implements io.Writer. It reports the error of the write that it causes, if any.
func (l *logWriter) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Since(l.written)
	if len(l.held) == 0 && since >= logPause {
		l.written = time.Now()
		return l.to.Write(line)
	}
	if len(l.held) == 0 {
		time.AfterFunc(logPause-since, l.flush)
	}
	l.held = append(l.held, line...)
	if len(l.held) >= logRoom {
		return len(line), l.writeHeld()
	}
	return len(line), nil
}

// flush writes what waits. A nil logWriter has nothing.
func (l *logWriter) flush() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.writeHeld()
}

func (l *logWriter) writeHeld() error {
	if len(l.held) == 0 {
		return nil
	}
	_, err := l.to.Write(l.held)
	l.held, l.written = l.held[:0], time.Now()
	return err
}
