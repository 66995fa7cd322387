package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// poolerRows are rows in which millrace reaches its databases through PgBouncer in transaction mode. It listens on a
// direct connection.
func poolerRows() []row {
	return []row{
		{
			id: "F9P", name: "F9 through PgBouncer in transaction mode, one in front of each server",
			expected: "no accepted order is lost", run: failover, needs: needs{instances: 2, standby: true, pooler: true},
		},
		{
			id: "F16P", name: "F16 through PgBouncer in transaction mode, with direct connections that listen",
			expected: "polling does it", run: listenersKilled, needs: needs{instances: 2, pooler: true},
		},
	}
}

// pooler is a PgBouncer in front of a database. It goes on when the database's server ends.
type pooler struct {
	*launch.Process
	port int
}

// poolerConfig gives sessions what docs/pooler.md asks to set for the role.
const poolerConfig = `[databases]
* = host=127.0.0.1 port=%d connect_query='SET statement_timeout = 10000; SET lock_timeout = 1000; ` +
	`SET idle_in_transaction_session_timeout = 10000; SET jit = off'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
`

// startPoolers puts a PgBouncer in front of each database.
func (d *deployment) startPoolers(ctx context.Context) error {
	program, err := findPooler()
	if err != nil {
		return err
	}
	for i, db := range d.databases {
		path := filepath.Join(d.dir, fmt.Sprintf("pooler-%d", i+1))
		if db.pooler, err = startPooler(ctx, program, path, db.proxy.port); err != nil {
			return fmt.Errorf("start PgBouncer: %w", err)
		}
	}
	return nil
}

func findPooler() (program string, err error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if program, err = exec.LookPath(name); err == nil {
			return program, nil
		}
	}
	return "", &skippedError{"PgBouncer is not installed (apt-get install pgbouncer)"}
}

// startPooler starts a PgBouncer in front of the server at a port. path is where its files are, without a suffix.
func startPooler(ctx context.Context, program, path string, target int) (*pooler, error) {
	port, err := launch.FreePort(ctx)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(poolerConfig, target, port, path+".users")
	for name, content := range map[string]string{".users": fmt.Sprintf("%q \"\"\n", postgres.User), ".ini": config} {
		if err := os.WriteFile(path+name, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	p := launch.Program{Path: program, Args: []string{path + ".ini"}, Log: path + ".log"}
	if os.Geteuid() == 0 { // PgBouncer does not run as root
		p.Args = append([]string{"-u", "nobody"}, p.Args...)
	}
	started, err := launch.Start(p)
	if err != nil {
		return nil, err
	}
	return &pooler{started, port}, started.AwaitPort(ctx, launch.Address(port))
}

// reach returns the flags with which millrace reaches the databases: at their poolers, if they have any.
func (d *deployment) reach() []string {
	if d.primary().pooler == nil {
		return []string{"--database-url", dsn(d.databases...)}
	}
	ports := make([]int, len(d.databases))
	for i, db := range d.databases {
		ports[i] = db.pooler.port
	}
	return []string{
		"--database-url", address(url.Values{"pooler": {"transaction"}}, ports...), "--listen-url", dsn(d.databases...),
	}
}
