package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// factor is by how much drills shorten the times of the rules; see scale.
const factor = 120

// monitor is a Prometheus with all rules, one from which rules are taken away, an Alertmanager, and a receiver.
type monitor struct {
	dir          string
	rules        rulesFile
	full, lesser *launch.Process
	manager      *launch.Process
	lesserURL    string
	receiver     *receiver
}

// receiver gets what Alertmanager sends, as a pager does.
type receiver struct {
	server *http.Server
	url    string

	mu    sync.Mutex
	state map[string]notice // by fingerprint
}

// notice is the latest that the receiver heard of an alert with its labels.
type notice struct {
	alert, rules string
	firing       bool
	firedAt      time.Time // when it last began, as heard here
	clearedAt    time.Time
}

func newReceiver() (*receiver, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{state: map[string]notice{}, url: "http://" + listener.Addr().String()}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

// ServeHTTP takes a message of Alertmanager.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var message struct {
		Alerts []struct {
			Status      string
			Labels      map[string]string
			Fingerprint string
		}
	}
	if err := json.NewDecoder(request.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range message.Alerts {
		n := r.state[a.Fingerprint]
		n.alert, n.rules = a.Labels["alertname"], a.Labels["rules"]
		firing := a.Status == "firing"
		switch {
		case firing && !n.firing:
			n.firedAt = time.Now()
		case !firing && n.firing:
			n.clearedAt = time.Now()
		}
		n.firing = firing
		r.state[a.Fingerprint] = n
	}
}

// heard returns what the receiver heard of an alert of some rules since a moment: when it first fired, and whether it
// still does. fired is zero if it did not.
func (r *receiver) heard(alert, rules string, since time.Time) (fired, cleared time.Time, firing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.state {
		if n.alert != alert || n.rules != rules {
			continue
		}
		firing = firing || n.firing
		if n.firedAt.After(since) && (fired.IsZero() || n.firedAt.Before(fired)) {
			fired = n.firedAt
		}
		if n.clearedAt.After(cleared) {
			cleared = n.clearedAt
		}
	}
	return fired, cleared, firing
}

func program(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: make drills installs it", names[0])
}

// watch starts to watch a deployment with rules.
func watch(ctx context.Context, d *deployment, dir string, rules rulesFile) (m *monitor, err error) {
	m = &monitor{dir: dir}
	if m.rules, err = rules.scale(factor); err != nil {
		return nil, err
	}
	if m.receiver, err = newReceiver(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.stop()
		}
	}()
	managerPort, err := launch.FreePort(ctx)
	if err != nil {
		return m, err
	}
	if err := m.startManager(ctx, managerPort); err != nil {
		return m, err
	}
	if m.full, _, err = m.startPrometheus(ctx, d, "full", managerPort); err != nil {
		return m, err
	}
	m.lesser, m.lesserURL, err = m.startPrometheus(ctx, d, "lesser", managerPort)
	return m, err
}

// startManager starts an Alertmanager that sends everything at once. The shipped configuration groups and keeps back,
// which a drill would have to wait for.
func (m *monitor) startManager(ctx context.Context, port int) error {
	path, err := program("prometheus-alertmanager", "alertmanager")
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`route:
  receiver: drill
  group_by: ['...']
  group_wait: 50ms
  group_interval: 500ms
  repeat_interval: 1h
receivers:
  - name: drill
    webhook_configs: [{url: '%s', send_resolved: true}]
`, m.receiver.url)
	file := filepath.Join(m.dir, "alertmanager.yaml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	m.manager, err = launch.Start(launch.Program{
		Path: path, Log: filepath.Join(m.dir, "alertmanager.log"), Args: []string{
			"--config.file=" + file, "--storage.path=" + filepath.Join(m.dir, "alertmanager"),
			"--web.listen-address=" + launch.Address(port), "--cluster.listen-address=",
		},
	})
	if err != nil {
		return err
	}
	return m.manager.AwaitPort(ctx, launch.Address(port))
}

func (m *monitor) startPrometheus(
	ctx context.Context, d *deployment, name string, managerPort int,
) (*launch.Process, string, error) {
	path, err := program("prometheus")
	if err != nil {
		return nil, "", err
	}
	port, err := launch.FreePort(ctx)
	if err != nil {
		return nil, "", err
	}
	config := fmt.Sprintf(`global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
  external_labels: {rules: %s}
rule_files: [%s]
alerting:
  alertmanagers: [{static_configs: [{targets: ['%s']}]}]
scrape_configs:
  - job_name: millrace
    authorization: {credentials_file: %s}
    file_sd_configs: [{files: ['%s'], refresh_interval: 1s}]
`, name, m.rulesPath(name), launch.Address(managerPort), d.scrapeKey, d.targets())
	file := filepath.Join(m.dir, name+".yaml")
	if err := errors.Join(os.WriteFile(file, []byte(config), 0o644), m.rules.write(m.rulesPath(name))); err != nil {
		return nil, "", err
	}
	p, err := launch.Start(launch.Program{
		Path: path, Log: filepath.Join(m.dir, name+".log"), Args: []string{
			"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(m.dir, name),
			"--web.listen-address=" + launch.Address(port), "--web.enable-lifecycle", "--rules.alert.resend-delay=1s",
		},
	})
	if err != nil {
		return nil, "", err
	}
	address := "http://" + launch.Address(port)
	if err := p.AwaitPort(ctx, launch.Address(port)); err != nil {
		return p, address, err
	}
	return p, address, d.awaitScraped(ctx, address)
}

// awaitScraped waits until a Prometheus has read the metrics of all processes. It finds them seconds after it has
// started. A first drill that ends the database before that would leave it without metrics: a process lets a key read
// during an outage that it has verified before.
func (d *deployment) awaitScraped(ctx context.Context, prometheus string) error {
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	want := strconv.Itoa(len(d.nodes))
	if !launch.Eventually(ctx, patience, func() bool {
		err := launch.Ask(ctx, d.client.Do, http.MethodGet, prometheus+"/api/v1/query?query=sum(up)", nil, &answer)
		result := answer.Data.Result
		return err == nil && len(result) == 1 && result[0].Value[1] == want
	}) {
		return fmt.Errorf("%s did not read the metrics of %s processes", prometheus, want)
	}
	return nil
}

func (m *monitor) rulesPath(name string) string { return filepath.Join(m.dir, name+".rules.yaml") }

// take takes alerts from the rules of the lesser Prometheus, and gives back those that it lacked before.
func (m *monitor) take(ctx context.Context, alerts ...string) error {
	if err := m.rules.without(alerts...).write(m.rulesPath("lesser")); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.lesserURL+"/-/reload", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("reload rules: status %d", response.StatusCode)
	}
	return nil
}

// firing returns the names of the alerts that fire.
func (m *monitor) firing() []string {
	names := map[string]bool{}
	m.receiver.mu.Lock()
	defer m.receiver.mu.Unlock()
	for _, n := range m.receiver.state {
		if n.firing && n.rules == "full" {
			names[n.alert] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (m *monitor) stop() {
	for _, p := range []*launch.Process{m.full, m.lesser, m.manager} {
		if p != nil {
			p.Kill()
		}
	}
	_ = m.receiver.server.Close()
}
