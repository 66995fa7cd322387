//go:build unix

package wire

import "syscall"

// isStale reports whether a kept connection was closed by the server, or has bytes that nothing asked for.
func (c *conn) isStale() bool {
	if c.raw == nil {
		return false
	}
	quiet := false
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // whatever it is: do not wait
	})
	return err != nil || !quiet
}
