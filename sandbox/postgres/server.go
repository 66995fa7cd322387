//go:build darwin || linux

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	home     home
	data     string // its data directory
	binaries binaries
	port     int
	log      *slog.Logger
	process  *process
	stopping atomic.Bool
}

// Start starts the server in c.Dir, makes the cluster first if there is none, and returns when the server accepts
// connections. That takes up to a second the first time, and a tenth of a second later. Fetching binaries comes before
// that, once.
//
// The context bounds the start only. The server runs until Stop. If this process dies, the server stops by itself on
// Linux; on macOS it stays.
//
// Start never uses a server that it did not start. A live server in c.Dir has 3 s to stop, or as long as it needs if it
// is stopping already; then the error is a *RunningError. Start removes or repairs the remains of a crash, such as a
// stale pid file or half a cluster.
//
// Errors: *RunningError; *VersionError; ErrNotFound; private.ErrNotPrivate; the context's. Any other error has the
// message of Postgres or of the system, with the last lines of the server's log.
func Start(ctx context.Context, c Config) (*Server, error) {
	log := c.logger()
	owner, err := serverAccount()
	if err != nil {
		return nil, err
	}
	finder, err := newFinder(c, owner, log)
	if err != nil {
		return nil, err
	}
	h, err := openHome(c.Dir, owner)
	if err != nil {
		return nil, err
	}
	lock, err := h.lock(ctx, log)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the server has its own descriptor by then
	data, b, err := h.choose(ctx, finder)
	if err != nil {
		return nil, err
	}
	if err := owner.checkReach(b.dir); err != nil {
		return nil, err
	}
	if err := h.initialize(ctx, data, b, log); err != nil {
		return nil, err
	}
	s := &Server{home: h, data: data, binaries: b, port: c.Port, log: log}
	if s.port == 0 {
		s.port = 5432 // names the socket
	}
	began := time.Now()
	if err := s.launch(ctx, c, lock); err != nil {
		return nil, fmt.Errorf("start postgres %s: %w", b.version, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, fmt.Errorf("start postgres %s: %w\n%s", b.version, err, logTail(h.logFile()))
	}
	go s.watch()
	log.InfoContext(ctx, "postgres started", "version", b.version, "dir", h.dir, "pid", s.PID(),
		"duration", time.Since(began))
	return s, nil
}

// launch runs postgres with the lock as its file descriptor 3.
func (s *Server) launch(ctx context.Context, c Config, lock *os.File) error {
	if err := s.home.owner.makePrivate(s.home.socketDir()); err != nil {
		return err
	}
	logFile, err := openLog(s.home.logFile())
	if err != nil {
		return err
	}
	defer logFile.Close()
	args := append([]string{"-D", s.data}, s.settings(c).args()...)
	cmd := s.home.owner.command(context.WithoutCancel(ctx), s.binaries, "postgres", args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{lock}
	s.process, err = launch(cmd)
	return err
}

// awaitReady waits until the server's pid file has the status ready, as pg_ctl does: an attempt to connect would leave
// an error in the log each time. If the context ends first, the server is stopped.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		if p := readPidfile(s.data); p.pid == s.PID() && p.status == "ready" {
			return nil
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("it exited: %w", exitError(s.process.err))
		default:
		}
		if err := pause(ctx); err != nil {
			return errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
		}
	}
}

// watch logs an end of the server that Stop did not cause.
func (s *Server) watch() {
	<-s.process.done
	if !s.stopping.Load() {
		s.log.Error("postgres exited by itself", "err", exitError(s.process.err), "log", s.home.logFile())
	}
}

// DSN returns the URL of the database, over the unix socket, for pgx, goose and psql:
// postgres://millrace@/name?host=...&port=...&sslmode=disable. A new cluster has the database postgres and no other.
func (s *Server) DSN(database string) string {
	query := url.Values{"host": {s.home.socketDir()}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(User), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// Version returns the server's version, such as 15.18.
func (s *Server) Version() string { return s.binaries.version }

// Major returns the server's major version, such as 15.
func (s *Server) Major() int { return s.binaries.major }

// PID returns the process id of the server.
func (s *Server) PID() int { return s.process.Pid }

// Done is closed when the server has exited, whether or not Stop was called.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Stop shuts the server down in Postgres' fast mode: open connections are closed, their transactions rolled back, and
// all else is written out. It returns when the server has exited. A further call waits, and returns the same.
//
// If the context ends first, the server is stopped at once and recovers at its next start; the error is the context's.
// Any other error means that the server ended by itself, or not in order.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	if err := s.process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}
	select {
	case <-s.process.done:
	case <-ctx.Done():
		_ = s.process.Signal(syscall.SIGQUIT) // within 5 s it kills the processes that do not follow
		<-s.process.done
		return fmt.Errorf("stop postgres: %w", context.Cause(ctx))
	}
	if s.process.err != nil {
		return fmt.Errorf("postgres: %w", s.process.err)
	}
	return nil
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
