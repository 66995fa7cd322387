package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// needs is the deployment that a row requires.
type needs struct {
	instances int      // of "millrace serve"; default 2, -1 for none
	standby   bool     // a synchronous standby
	replica   bool     // reads come from the standby
	pooler    bool     // instances reach each database through a PgBouncer
	args      []string // for every instance, in addition to the usual ones
}

// deployment is a whole Millrace on this machine: databases, providers, instances, and proxies between all of them.
// Each row has its own.
type deployment struct {
	dir       string
	binary    string
	args      []string
	replica   bool
	databases []*database // the second is the standby, until they swap roles
	simulator *launch.Process
	providers *proxy
	simPort   int
	client    *http.Client

	mu        sync.Mutex
	instances []*instance
	kills     int
}

// instance is one "millrace serve". It keeps its addresses when it is started again.
type instance struct {
	*launch.Process
	name     string
	api, ops int
	env      []string
}

func deploy(ctx context.Context, binary, dir string, n needs) (*deployment, error) {
	d := &deployment{dir: dir, binary: binary, args: n.args, replica: n.replica, client: &http.Client{
		Timeout: 8 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	if err := d.start(ctx, n); err != nil {
		d.stop()
		return nil, fmt.Errorf("deploy: %w", err)
	}
	return d, nil
}

func (d *deployment) start(ctx context.Context, n needs) (err error) {
	if err := os.Chmod(d.dir, 0o755); err != nil { // as root, Postgres runs as a different user
		return err
	}
	primary, err := newDatabase(ctx, d.dir, "a")
	if err != nil {
		return err
	}
	d.databases = append(d.databases, primary)
	if err := primary.start(ctx); err != nil {
		return err
	}
	if n.standby {
		standby, err := newDatabase(ctx, d.dir, "b")
		if err != nil {
			return err
		}
		d.databases = append(d.databases, standby)
		if err := d.addStandby(ctx, primary, standby); err != nil {
			return err
		}
	}
	if d.simPort, err = launch.FreePort(ctx); err != nil {
		return err
	}
	if d.providers, err = newProxy(ctx, "providers", d.simPort); err != nil {
		return err
	}
	if err := d.startSimulator(ctx); err != nil {
		return err
	}
	// Providers take a moment, so that some step is always under way.
	moment := map[string]any{"latencyMs": 10, "jitterMs": 30}
	if err := d.setFaults(ctx, faults{"payment": moment, "inventory": moment, "shipping": moment}); err != nil {
		return err
	}
	if err := d.command(ctx, nil, "migrate", "--database-url", dsn(d.databases...)); err != nil {
		return err
	}
	if n.pooler {
		if err := d.startPoolers(ctx); err != nil {
			return err
		}
	}
	for i := range max(n.instances, 0) {
		if _, err := d.add(ctx, fmt.Sprintf("millrace-%d", i+1)); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all processes that still run.
func (d *deployment) stop() {
	for _, i := range d.instances {
		i.Signal(syscall.SIGCONT)
		i.Kill()
	}
	if d.simulator != nil {
		d.simulator.Kill()
	}
	for _, db := range d.databases {
		if db.Server != nil {
			_ = signalFamily(db.PID(), syscall.SIGCONT)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			_ = db.Stop(ctx)
			cancel()
			_ = postgres.Reset(db.config.Dir)
		}
		if db.pooler != nil {
			db.pooler.Kill()
		}
		db.proxy.Stop()
		db.replication.Stop()
	}
	if d.providers != nil {
		d.providers.Stop()
	}
	d.client.CloseIdleConnections()
}

// primary is the database that millrace writes to: rows that fail over swap the two.
func (d *deployment) primary() *database { return d.databases[0] }
func (d *deployment) standby() *database { return d.databases[1] }

func (d *deployment) startSimulator(ctx context.Context) (err error) {
	d.simulator, err = d.launch("simulator.log", nil, "simulate", "--simulator-addr",
		launch.Address(d.simPort), "--ledger", filepath.Join(d.dir, "simulator.ledger"))
	if err != nil {
		return err
	}
	if !launch.Eventually(ctx, time.Minute, func() bool {
		return d.ask(ctx, http.MethodGet, d.simulatorURL("/health"), nil, nil) == nil
	}) {
		return fmt.Errorf("the simulator does not start: %s", d.simulator.Tail(tailLines))
	}
	return nil
}

// simulatorURL returns an address of the simulator itself, not through the proxy.
func (d *deployment) simulatorURL(path string) string {
	return "http://" + launch.Address(d.simPort) + path
}

// faults are the providers' faults: see docs/providers.md.
type faults map[string]map[string]any

func (d *deployment) setFaults(ctx context.Context, f faults) error {
	if f == nil {
		f = faults{}
	}
	return d.ask(ctx, http.MethodPut, d.simulatorURL("/faults"), f, nil)
}

// command runs a command of millrace until it ends.
func (d *deployment) command(ctx context.Context, env []string, args ...string) error {
	p, err := d.launch(args[0]+".log", env, args...)
	if err != nil {
		return err
	}
	finish(ctx, p)
	if !p.State().Success() {
		return fmt.Errorf("millrace %s: %s: %s", args[0], p.State(), p.Tail(tailLines))
	}
	return nil
}

// add starts a further instance.
func (d *deployment) add(ctx context.Context, name string, env ...string) (*instance, error) {
	i := &instance{name: name, env: env}
	var err error
	if i.api, err = launch.FreePort(ctx); err != nil {
		return nil, err
	}
	if i.ops, err = launch.FreePort(ctx); err != nil {
		return nil, err
	}
	if err := d.begin(i); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.instances = append(d.instances, i)
	d.mu.Unlock()
	return i, d.awaitReady(ctx, i)
}

// begin starts the process of an instance, for the first time or again.
func (d *deployment) begin(i *instance) error {
	provider := "http://" + launch.Address(d.providers.port)
	args := slices.Concat([]string{
		"serve", "--api-addr", launch.Address(i.api), "--ops-addr", launch.Address(i.ops),
		"--payment-url", provider + "/payments", "--inventory-url", provider + "/inventory",
		"--shipping-url", provider + "/shipping", "--email-url", provider + "/email",
		"--rate-limit", "0", "--sweep-every", "2s", "--breaker-open", "2s", "--call-timeout", "3s",
	}, d.reach(), d.args)
	if d.replica {
		args = append(args, "--replica-urls", dsn(d.standby()))
	}
	p, err := d.launch(i.name+".log", i.env, args...)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i.Process = p
	return nil
}

// awaitReady waits until the instance answers. An instance that needs the database dies without it, and awaitReady
// starts it again, as a supervisor would.
func (d *deployment) awaitReady(ctx context.Context, i *instance) error {
	if launch.Eventually(ctx, time.Minute, func() bool {
		if i.Ended() && !i.Killed() && d.begin(i) != nil {
			return false
		}
		return i.Ended() || d.ask(ctx, http.MethodGet, i.url("/health/live"), nil, nil) == nil
	}) {
		return nil
	}
	return fmt.Errorf("%s is not ready: %s", i.name, i.Tail(tailLines))
}

func (i *instance) url(path string) string { return "http://" + launch.Address(i.api) + path }

// restart kills an instance and starts it again.
func (d *deployment) restart(ctx context.Context, i *instance) error {
	i.Kill()
	d.mu.Lock()
	d.kills++
	d.mu.Unlock()
	if err := d.begin(i); err != nil {
		return err
	}
	return d.awaitReady(ctx, i)
}

// any returns a random instance.
func (d *deployment) any(random *rand.Rand) *instance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.instances[random.IntN(len(d.instances))]
}

func (d *deployment) remove(i *instance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.instances = slices.DeleteFunc(d.instances, func(other *instance) bool { return other == i })
}

// heal ends all faults and starts all processes that are down.
func (d *deployment) heal(ctx context.Context) error {
	if err := d.setFaults(ctx, nil); err != nil {
		return err
	}
	if err := d.providers.heal(ctx); err != nil {
		return err
	}
	for _, db := range d.databases {
		if err := errors.Join(db.proxy.heal(ctx), db.replication.heal(ctx)); err != nil {
			return err
		}
	}
	for _, i := range d.instances {
		i.Signal(syscall.SIGCONT)
		if i.Ended() {
			if err := d.begin(i); err != nil {
				return err
			}
		}
		if err := d.awaitReady(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// statusError is an answer with a status other than 2xx.
type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// ask sends a request once and decodes the answer.
func (d *deployment) ask(ctx context.Context, method, url string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if body == nil {
		b = nil
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	if b != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := d.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return statusError(response.StatusCode)
	}
	if into == nil {
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}
	return json.NewDecoder(response.Body).Decode(into)
}
