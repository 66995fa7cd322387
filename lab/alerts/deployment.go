package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

const (
	patience  = time.Minute
	tailLines = 20
	database  = "postgres"
)

// deployment is Millrace as it runs somewhere, on this machine: a database, providers, an API and workers apart.
type deployment struct {
	dir, binary string
	config      postgres.Config
	server      *postgres.Server
	simulator   *launch.Process
	simPort     int
	api, work   *node
	key         string // an admin's
	scrapeKey   string // a viewer's, in a file
	client      *http.Client

	mu    sync.Mutex
	nodes []*node
}

// node is one process of Millrace. It keeps its addresses when it is started again.
type node struct {
	*launch.Process

	binary   string
	args     []string
	env      []string // beside that of every process
	api, ops int
}

// build makes a program of a version, and returns its path.
func build(ctx context.Context, dir, version string) (string, error) {
	path := filepath.Join(dir, "millrace-"+version)
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.version="+version, "-o", path, "./cmd/millrace")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build millrace: %w: %s", err, out)
	}
	return path, nil
}

func deploy(ctx context.Context, binary, dir string) (*deployment, error) {
	d := &deployment{dir: dir, binary: binary, client: &http.Client{Timeout: 20 * time.Second}}
	if err := d.start(ctx); err != nil {
		d.stop()
		return nil, fmt.Errorf("deploy: %w", err)
	}
	return d, nil
}

func (d *deployment) start(ctx context.Context) (err error) {
	if err := os.Chmod(d.dir, 0o755); err != nil { // as root, Postgres runs as another user
		return err
	}
	d.config = postgres.Config{
		Dir: filepath.Join(d.dir, "db"), Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"),
		Tools:  []string{"pg_basebackup"},
		Logger: slog.New(slog.DiscardHandler), Settings: map[string]string{"shared_buffers": "64MB"},
	}
	if d.config.Port, err = launch.FreePort(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(d.config.Dir, 0o755); err != nil {
		return err
	}
	if err := d.startDatabase(ctx); err != nil {
		return err
	}
	if d.simPort, err = launch.FreePort(ctx); err != nil {
		return err
	}
	d.simulator, err = d.launch(d.binary, "simulator.log", nil, "simulate", "--simulator-addr", launch.Address(d.simPort),
		"--ledger", filepath.Join(d.dir, "simulator.ledger"))
	if err != nil {
		return err
	}
	if err := d.simulator.AwaitPort(ctx, launch.Address(d.simPort)); err != nil {
		return err
	}
	if _, err := d.millrace(ctx, "migrate"); err != nil {
		return err
	}
	if d.key, err = d.newKey(ctx, "admin"); err != nil {
		return err
	}
	scrape, err := d.newKey(ctx, "viewer")
	if err != nil {
		return err
	}
	d.scrapeKey = filepath.Join(d.dir, "millrace.key")
	if err := os.WriteFile(d.scrapeKey, []byte(scrape), 0o600); err != nil {
		return err
	}
	if d.work, err = d.add(ctx, d.binary, "work", d.workArgs()...); err != nil {
		return err
	}
	d.api, err = d.add(ctx, d.binary, "api", "--rate-limit", "0", "--webhook-networks", "127.0.0.0/8")
	return err
}

// workArgs are the flags of the workers. Periodic work is frequent, so that a drill need not wait for minutes.
func (d *deployment) workArgs() []string {
	provider := "http://" + launch.Address(d.simPort)
	return []string{
		"--payment-url", provider + "/payments", "--inventory-url", provider + "/inventory",
		"--shipping-url", provider + "/shipping", "--email-url", provider + "/email",
		"--sweep-every", "2s", "--breaker-open", "2s", "--call-timeout", "3s", "--verify-every", "1s",
		"--reconcile-every", "2s", "--reconcile-grace", "2s", "--webhook-networks", "127.0.0.1/32",
	}
}

func (d *deployment) startDatabase(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d.server, err = postgres.Start(ctx, d.config)
	return err
}

func (d *deployment) dsn() string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", postgres.User, d.config.Port, database)
}

func (d *deployment) launch(binary, log string, env []string, args ...string) (*launch.Process, error) {
	return launch.Start(launch.Program{
		Path: binary, Args: args, Log: filepath.Join(d.dir, log), Env: append([]string{
			"DATABASE_URL=" + d.dsn(), "PATH=/usr/bin:/bin", "HOME=" + d.dir, "MILLRACE_LOG_FORMAT=json",
		}, env...),
	})
}

// millrace runs a command of Millrace, and returns what it prints.
func (d *deployment) millrace(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Env = []string{"DATABASE_URL=" + d.dsn()}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("millrace %s: %w: %s", args[0], err, stderr.String())
	}
	return string(out), nil
}

func (d *deployment) newKey(ctx context.Context, role string) (string, error) {
	out, err := d.millrace(ctx, "keys", "create", "--role", role, "--name", "drill")
	return strings.TrimSpace(out), err
}

// add starts a process of Millrace.
func (d *deployment) add(ctx context.Context, binary, command string, args ...string) (*node, error) {
	return d.addWith(ctx, nil, binary, command, args...)
}

// addWith starts a process of Millrace with more in its environment.
func (d *deployment) addWith(ctx context.Context, env []string, binary, command string, args ...string) (*node, error) {
	n := &node{binary: binary, env: env}
	var err error
	if n.ops, err = launch.FreePort(ctx); err != nil {
		return nil, err
	}
	n.args = append([]string{command, "--ops-addr", launch.Address(n.ops)}, args...)
	if command == "api" {
		if n.api, err = launch.FreePort(ctx); err != nil {
			return nil, err
		}
		n.args = append(n.args, "--api-addr", launch.Address(n.api))
	}
	if err := d.begin(ctx, n); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.nodes = append(d.nodes, n)
	d.mu.Unlock()
	return n, d.writeTargets()
}

// begin starts the process of a node, the first time or again.
func (d *deployment) begin(ctx context.Context, n *node) (err error) {
	log := fmt.Sprintf("%s-%d.log", n.args[0], n.ops)
	if n.Process, err = d.launch(n.binary, log, n.env, n.args...); err != nil {
		return err
	}
	_, err = n.AwaitReady(ctx)
	return err
}

// remove ends a node, and has Prometheus forget it.
func (d *deployment) remove(n *node, s syscall.Signal) error {
	err := n.Stop(s, patience)
	d.mu.Lock()
	d.nodes = slices.DeleteFunc(d.nodes, func(other *node) bool { return other == n })
	d.mu.Unlock()
	return errors.Join(err, d.writeTargets())
}

// targets is the file from which Prometheus reads what to scrape.
func (d *deployment) targets() string { return filepath.Join(d.dir, "targets.json") }

func (d *deployment) writeTargets() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []string
	for _, n := range d.nodes {
		list = append(list, launch.Address(n.ops))
	}
	content, err := json.Marshal([]map[string]any{{"targets": list}})
	if err != nil {
		return err
	}
	fresh := d.targets() + ".new"
	if err := os.WriteFile(fresh, content, 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, d.targets())
}

// stop ends everything that is still there.
func (d *deployment) stop() {
	for _, n := range d.nodes {
		n.Kill()
	}
	if d.simulator != nil {
		d.simulator.Kill()
	}
	if d.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = d.server.Stop(ctx)
	}
	_ = postgres.Reset(d.config.Dir)
}

func (d *deployment) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return pgx.Connect(ctx, d.server.DSN(database))
}

// sql runs a statement as the superuser.
func (d *deployment) sql(ctx context.Context, statements ...string) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// faults are what goes wrong at the providers, by provider: see docs/providers.md.
type faults map[string]map[string]any

func (d *deployment) setFaults(ctx context.Context, f faults) error {
	if f == nil {
		f = faults{}
	}
	return d.ask(ctx, http.MethodPut, "http://"+launch.Address(d.simPort)+"/faults", f, nil)
}

// ask makes a request as an admin, and decodes the answer.
func (d *deployment) ask(ctx context.Context, method, url string, body, into any, header ...string) error {
	return launch.Ask(ctx, d.client.Do, method, url, body, into, append(header, "Authorization", "Bearer "+d.key)...)
}

func (n *node) url(path string) string    { return "http://" + launch.Address(n.api) + path }
func (n *node) opsURL(path string) string { return "http://" + launch.Address(n.ops) + path }
