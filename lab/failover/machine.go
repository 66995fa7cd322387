package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

//go:embed machine.sh
var machineScript string

// machine is a node, with Patroni and Postgres, or a machine of etcd, with a network and process numbers of its own.
type machine struct {
	*launch.Process

	name, address string
	dir           string            // the lab's
	patroni       string            // the directory that has bin/patroni and bin/etcd
	settings      map[string]string // of deploy/patroni
	boots         int
}

func newMachine(ctx context.Context, dir, config, patroni string, k kind, number int) (*machine, error) {
	m := &machine{name: k.machine(number), address: k.address(number), dir: dir, patroni: patroni}
	var err error
	if m.settings, err = k.settings(config, number); err != nil {
		return nil, err
	}
	for sub, owner := range map[string]string{"postgresql": "postgres", "etcd": "etcd"} {
		path := filepath.Join(dir, m.name, sub)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
		u, err := user.Lookup(owner)
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(path, uid, gid); err != nil {
			return nil, err
		}
	}
	return m, m.plugIn(ctx)
}

// boot starts everything on the machine.
func (m *machine) boot() (err error) {
	m.boots++
	env := []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/var/lib/postgresql",
		"LAB_DIR=" + m.dir, "LAB_MACHINE=" + m.name, "LAB_PATRONI=" + m.patroni, "LAB_BOOT=" + strconv.Itoa(m.boots),
	}
	for name, value := range m.settings {
		env = append(env, name+"="+value)
	}
	m.Process, err = launch.Start(launch.Program{
		Path: "/usr/sbin/ip", Env: env, Log: m.log(),
		Args: []string{
			"netns", "exec", m.name, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			"sh", "-c", machineScript,
		},
	})
	return err
}

// log has the output of Patroni and Postgres.
func (m *machine) log() string { return filepath.Join(m.dir, m.name+".log") }

// logged counts the lines of the log that contain a text.
func (m *machine) logged(text string) int {
	b, _ := os.ReadFile(m.log())
	return strings.Count(string(b), text)
}

// signal sends a signal to all processes of the node, or to those with a name.
func (m *machine) signal(s syscall.Signal, name string) (err error) {
	sent := 0
	for _, pid := range launch.Family(m.PID()) {
		comm, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
		if name != "" && strings.TrimSpace(string(comm)) != name {
			continue
		}
		if killErr := syscall.Kill(pid, s); killErr == nil {
			sent++
		} else if !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, killErr)
		}
	}
	if sent == 0 {
		err = errors.Join(err, fmt.Errorf("%s has no process %s", m.name, name))
	}
	return err
}

// connect connects to the node's Postgres as the superuser.
func (m *machine) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return pgx.Connect(ctx, "postgres://"+m.settings["PATRONI_SUPERUSER_USERNAME"]+":"+
		m.settings["PATRONI_SUPERUSER_PASSWORD"]+"@"+m.address+"/"+database+"?sslmode=disable")
}
