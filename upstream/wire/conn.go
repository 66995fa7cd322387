package wire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// buffer suits hundreds of connections with short messages.
const buffer = 1 << 10

var errHeader = errors.New("header of the answer is too long")

// conn is a connection, which makes one exchange at a time.
type conn struct {
	net.Conn // encrypted, if it is

	transport *Transport
	raw       syscall.RawConn // of the TCP connection; may be nil
	in        *bufio.Reader
	out       *bufio.Writer
	left      int64     // bytes that the header may still have; below 0: no limit
	heard     bool      // something of the answer was read
	used      bool      // for an exchange before this one
	since     time.Time // when it was kept
}

func newConn(t *Transport, c, tcp net.Conn) *conn {
	n := &conn{Conn: c, transport: t}
	if s, ok := tcp.(syscall.Conn); ok {
		n.raw, _ = s.SyscallConn()
	}
	n.in, n.out = bufio.NewReaderSize(n, buffer), bufio.NewWriterSize(c, buffer)
	return n
}

// Read implements io.Reader, within the limit of the header.
func (c *conn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, errHeader
	}
	if c.left > 0 {
		p = p[:min(int64(len(p)), c.left)]
	}
	n, err := c.Conn.Read(p)
	c.heard = c.heard || n > 0
	if c.left > 0 {
		c.left -= int64(n)
	}
	return n, err
}

// exchange sends a request and reads the answer up to its body. It closes the connection unless there is an answer.
func (c *conn) exchange(ctx context.Context, r *http.Request) (answer *http.Response, err error) {
	c.heard, c.left = false, c.transport.config.HeaderBytes
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if answer == nil { // also after a panic
			stop()
			_ = c.Close()
		}
	}()
	writing := r.Write(c.out)
	if writing == nil {
		writing = c.out.Flush()
	}
	// A server may answer, and close the connection, before it has read the whole request.
	answer, err = c.answer(r)
	if err != nil {
		if writing != nil {
			return nil, writing
		}
		return nil, err
	}
	c.left = -1
	answer.Body = &body{
		Reader: answer.Body, conn: c, stop: stop, ended: answer.Body == http.NoBody,
		reusable: writing == nil && !answer.Close && answer.StatusCode >= http.StatusOK,
	}
	return answer, nil
}

// answer reads the head of an answer, and passes over interim answers.
func (c *conn) answer(r *http.Request) (*http.Response, error) {
	for {
		answer, err := http.ReadResponse(c.in, r)
		if err != nil {
			return nil, err
		}
		switch s := answer.StatusCode; {
		case s >= http.StatusOK, s == http.StatusSwitchingProtocols:
			return answer, nil
		case s != http.StatusContinue && s != http.StatusEarlyHints:
			return nil, &InterimError{s}
		}
	}
}

// body is the body of an answer. When it is closed, the connection is kept for further exchanges, if the body was read
// to its end.
type body struct {
	io.Reader

	conn     *conn
	stop     func() bool
	reusable bool

	mu     sync.Mutex
	ended  bool
	closed bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
	}
	return n, err
}

// Close implements io.Closer. It does not wait for the rest of the body. It may be called during a Read, which then
// fails.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	defer func() { <-b.conn.transport.slots }()
	// More bytes than the answer has are the server's mistake, and would be read as the next answer.
	if stopped := b.stop(); stopped && b.ended && b.reusable && b.conn.in.Buffered() == 0 {
		b.conn.transport.keep(b.conn)
		return nil
	}
	return b.conn.Close()
}
