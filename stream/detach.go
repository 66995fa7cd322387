package stream

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// detachPatience is how long Drain waits for detached streams. Those that it interrupts in a write reconnect as well.
const detachPatience = 2 * time.Second

// detached holds the streams that http.Server.Shutdown does not know of.
type detached struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// take moves a stream off net/http, which keeps some 30 KB for every answer: buffers for both directions, and a stack
// that has grown with all handlers. A stream needs neither; a goroutine of its own remains. The stream must not keep
// the request or its context, which would keep the rest in memory. take works for HTTP/1.1 only, where an answer has
// its connection to itself. The context ends when the client leaves.
//
// The stream is counted before it leaves net/http, so that Shutdown or Drain waits for it at every moment. If ok, the
// caller ends the count with running.Done.
func (d *detached) take(r *http.Request, w http.ResponseWriter) (conn net.Conn, ctx context.Context, ok bool) {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || !d.join() {
		return nil, nil, false
	}
	defer func() {
		if !ok {
			d.running.Done()
		}
	}()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		var more [1]byte
		_, _ = io.ReadFull(conn, more[:]) // a client that only listens sends nothing before it leaves
	}()
	return conn, ctx, true
}

// join counts a stream, unless wait has begun: then Shutdown comes next, and waits for this stream.
func (d *detached) join() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.running.Add(1)
	}
	return !d.closed
}

// wait waits for the streams. All later streams stay in net/http.
func (d *detached) wait() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.running.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(detachPatience):
	}
}

// chunked writes the rest of an answer whose header net/http has written (RFC 9112, 7.1).
type chunked struct{ net.Conn }

func (chunked) Header() http.Header { return nil }
func (chunked) WriteHeader(int)     {}
func (chunked) Flush()              {}

func (c chunked) Write(b []byte) (int, error) {
	if _, err := c.Conn.Write(fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// end ends the answer as complete.
func (c chunked) end(timeout time.Duration) {
	_ = c.SetWriteDeadline(time.Now().Add(timeout))
	_, _ = io.WriteString(c.Conn, "0\r\n\r\n")
	_ = c.Close()
}
