//go:build !linux

package store

import "syscall"

// limitUnacknowledged does nothing where there is no TCP_USER_TIMEOUT: statements have deadlines of their own.
func limitUnacknowledged(string, string, syscall.RawConn) error { return nil }
