package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const answerPatience = 60 * time.Second

// connection is one HTTP/1.1 connection that is kept alive. It does far less than http.Client: the load generator's CPU
// time is lost to the servers on the same machine.
type connection struct {
	net.Conn
	reader *bufio.Reader
	body   []byte
}

func dial(ctx context.Context, addr string) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn, reader: bufio.NewReader(conn)}, nil
}

// exchange sends a whole request and reads the whole answer. The body is valid until the next exchange.
func (c *connection) exchange(request []byte) (status int, body []byte, err error) {
	if err := c.SetDeadline(time.Now().Add(answerPatience)); err != nil {
		return 0, nil, err
	}
	if _, err := c.Write(request); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	c.body = c.body[:0]
	for {
		if len(c.body) == cap(c.body) {
			c.body = append(c.body, make([]byte, 4096)...)[:len(c.body)]
		}
		n, err := response.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			return response.StatusCode, c.body, nil
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// expect is exchange for callers that accept one status only.
func (c *connection) expect(status int, request []byte) ([]byte, error) {
	got, body, err := c.exchange(request)
	if err == nil && got != status {
		err = fmt.Errorf("answered %d: %s", got, body)
	}
	return body, err
}

// get returns the request for a path.
func get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

// post returns the request that posts JSON. header has whole lines.
func post(path, header, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s"+
		"Content-Length: %d\r\n\r\n%s", path, header, len(body), body)
}
