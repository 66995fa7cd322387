package storetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const poolerStart = 20 * time.Second

// NewPooler starts a PgBouncer in front of the tests' Postgres, and stops it with the test.
func NewPooler(t testing.TB, mode, settings string) *Pooler {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	p, err := startPooler(s.socket(), mode, settings)
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no pgbouncer")
	}
	require.NoError(t, err)
	t.Cleanup(p.stop)
	return p
}

// PoolerKeepsStatements reports whether PgBouncer keeps prepared statements in transaction mode, as it can from 1.21
// on. It skips the test if there is none.
func PoolerKeepsStatements(t testing.TB) bool {
	t.Helper()
	program, err := findPooler()
	if err != nil {
		t.Skip("there is no pgbouncer")
	}
	out, err := exec.CommandContext(t.Context(), program, "--version").Output()
	require.NoError(t, err)
	var major, minor int
	_, err = fmt.Sscanf(string(out), "PgBouncer %d.%d", &major, &minor)
	require.NoError(t, err, string(out))
	return major > 1 || minor >= 21
}

func findPooler() (program string, err error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if program, err = exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("find pgbouncer: %w", exec.ErrNotFound)
}

// startPooler starts a PgBouncer, which ends with this process.
func startPooler(socket, mode, settings string) (*Pooler, error) {
	program, err := findPooler()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "millrace-pooler-")
	if err != nil {
		return nil, err
	}
	p := &Pooler{dir: dir}
	config, err := p.configure(socket, mode, settings)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(socket)
	if err != nil {
		return nil, err
	}
	owner := info.Sys().(*syscall.Stat_t)
	cmd := exec.CommandContext(context.Background(), program, "-q", config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if os.Geteuid() == 0 { // PgBouncer does not run as root
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid, Groups: []uint32{}}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the pooler ends with the thread that started it
		started <- cmd.Start()
		_ = cmd.Wait()
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	path := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(poolerPort))
	for begun := time.Now(); ; {
		conn, err := net.Dial("unix", path) //nolint:noctx // it is there, or it is not
		if err == nil {
			return p, conn.Close()
		}
		if time.Since(begun) > poolerStart {
			p.stop()
			return nil, fmt.Errorf("start pgbouncer (log in %s): %w", log.Name(), err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (p *Pooler) stop() {
	_ = syscall.Kill(p.pid, syscall.SIGKILL)
	_ = os.RemoveAll(p.dir)
}
