//go:build !unix

package wire

// isStale reports whether a kept connection was closed by the server. It is not known here before the next exchange.
func (c *conn) isStale() bool { return false }
