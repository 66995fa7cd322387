//go:build !darwin && !linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// Server is not supported on this system.
type Server struct{}

var errUnsupported = fmt.Errorf("a private PostgreSQL on %s: %w: set DATABASE_URL", runtime.GOOS, errors.ErrUnsupported)

// Start returns an error that is errors.ErrUnsupported: it needs signals and unix sockets. Set DATABASE_URL instead.
func Start(context.Context, Config) (*Server, error) { return nil, errUnsupported }

// Reset returns an error that is errors.ErrUnsupported.
func Reset(string) error { return errUnsupported }

// Move returns an error that is errors.ErrUnsupported.
func Move(context.Context, string, string, string) error { return errUnsupported }

func (s *Server) DSN(string) string          { return "" }
func (s *Server) Version() string            { return "" }
func (s *Server) Major() int                 { return 0 }
func (s *Server) PID() int                   { return 0 }
func (s *Server) Done() <-chan struct{}      { return nil }
func (s *Server) Stop(context.Context) error { return nil }
