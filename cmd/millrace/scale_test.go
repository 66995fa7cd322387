//go:build scale

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

var scaleRestarts = flag.Int("scale.restarts", 20,
	"restarts of an API process and a worker process, behind each balancer")

// TestScale runs two API processes and two worker processes behind nginx and behind HAProxy, and restarts all of them
// in turn under load. No client repeats a request, and no request fails. Every order that was accepted is completed.
func TestScale(t *testing.T) { //nolint:paralleltest // one after the other: both measure
	for name, balance := range map[string]func(*testing.T, []string) *balanced{"nginx": nginx, "HAProxy": haproxy} {
		t.Run(name, func(t *testing.T) {
			database, simulators := storetest.URL(t), newSimulators(t)
			key := createKey(t, database, "service")
			connect := storetest.As(database, storetest.ServeRole)
			start := func(address string) *instance {
				return startProcess(t, "api", "--database-url", connect, "--api-addr", address, "--ops-addr", "127.0.0.1:0",
					"--drain-delay", "4s", "--api-connections", "5")
			}
			work := func() *instance {
				args := []string{"work", "--work-connections", "5"}
				all := serveArgs(database, simulators)[1:]
				for i := 0; i < len(all); i += 2 {
					if all[i] != "--api-addr" && all[i] != "--rate-limit" {
						args = append(args, all[i], all[i+1])
					}
				}
				return startProcess(t, args...)
			}
			addresses := []string{freeAddress(t), freeAddress(t)}
			apis, workers := []*instance{start(addresses[0]), start(addresses[1])}, []*instance{work(), work()}
			b := balance(t, addresses)
			b.awaitAll(t)

			load := &scaleLoad{url: b.url, key: key}
			stop := load.run(t)
			for round := range *scaleRestarts {
				i := round % 2
				require.NoError(t, apis[i].stop())
				apis[i] = start(addresses[i])
				require.NoError(t, workers[i].stop())
				workers[i] = work()
				b.awaitAll(t)
			}
			stop()
			t.Logf("%d requests through %d restarts, %d failed", load.sent.Load(), *scaleRestarts, load.failed.Load())
			require.Zero(t, load.failed.Load())
			awaitCompleted(t, database, load.placed.Load())
		})
	}
}

// scaleLoad places orders and reads them, and repeats nothing.
type scaleLoad struct {
	url, key             string
	sent, failed, placed atomic.Int64
}

func (l *scaleLoad) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				location := l.send(t, client, http.MethodPost, "/api/orders", seedOrder, http.StatusAccepted)
				if location != "" {
					l.placed.Add(1)
					l.send(t, client, http.MethodGet, location, "", http.StatusOK)
				}
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// send sends one request and returns the answer's Location.
func (l *scaleLoad) send(t *testing.T, client *http.Client, method, path, body string, want int) string {
	// net/http repeats a request whose body it could read again.
	request, err := http.NewRequestWithContext(context.Background(), method, l.url+path,
		io.NopCloser(strings.NewReader(body)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+l.key)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost {
		request.Header.Set("Idempotency-Key", uuid.NewString())
	}
	l.sent.Add(1)
	response, err := client.Do(request)
	if err != nil {
		l.failed.Add(1)
		t.Log("failed:", method, path, err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		l.failed.Add(1)
		t.Logf("failed: %s %s: %d %v %.200s", method, path, response.StatusCode, err, answer)
	}
	return response.Header.Get("Location")
}

// awaitCompleted waits until all orders are completed, and compares their number.
func awaitCompleted(t *testing.T, database string, placed int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var all, completed int64
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE status = 'completed')
			FROM millrace.orders`).Scan(&all, &completed)
		return err == nil && completed == placed
	}, 3*time.Minute, 100*time.Millisecond)
	require.Equal(t, placed, all)
}

// balanced is a running balancer. healthy returns how many processes it sends requests to; nil if it has no checks.
type balanced struct {
	url     string
	healthy func() int
}

func (b *balanced) awaitAll(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return b.healthy == nil || b.healthy() == 2 }, time.Minute, 50*time.Millisecond)
}

// nginx has no health checks of its own without a licence: it asks the next process if one refuses a connection.
func nginx(t *testing.T, backends []string) *balanced {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log;
events {}
http {
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u;
	scgi_temp_path %[1]s/s; access_log off;
	upstream millrace { server %[3]s fail_timeout=1s; server %[4]s fail_timeout=1s; keepalive 8; }
	server {
		listen %[2]s;
		location / { proxy_pass http://millrace; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}`, dir, address, backends[0], backends[1])), 0o600))
	background(t, address, []string{"nginx", "/usr/sbin/nginx"}, "-c", config, "-e", filepath.Join(dir, "nginx-error.log"))
	return &balanced{url: "http://" + address}
}

// haproxy asks every two seconds, takes a process out after one failure, and repeats nothing.
func haproxy(t *testing.T, backends []string) *balanced {
	t.Helper()
	dir, address, stats := t.TempDir(), freeAddress(t), freeAddress(t)
	config := filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`defaults
	mode http
	retries 0
	timeout connect 2s
	timeout client 60s
	timeout server 60s
frontend millrace
	bind %s
	default_backend processes
frontend stats
	bind %s
	stats enable
	stats uri /stats
backend processes
	balance roundrobin
	option httpchk GET /health/ready
	default-server check inter 2s fall 1 rise 1
	server first %s
	server second %s
`, address, stats, backends[0], backends[1])), 0o600))
	background(t, address, []string{"haproxy", "/usr/sbin/haproxy"}, "-db", "-f", config)
	return &balanced{url: "http://" + address, healthy: func() int {
		response, err := http.Get("http://" + stats + "/stats;csv") //nolint:noctx // local
		if err != nil {
			return 0
		}
		defer func() { _ = response.Body.Close() }()
		table, _ := io.ReadAll(response.Body)
		up := 0
		for line := range strings.Lines(string(table)) {
			fields := strings.Split(line, ",")
			if len(fields) > 36 && fields[0] == "processes" && fields[1] != "BACKEND" && fields[17] == "UP" &&
				strings.HasPrefix(fields[36], "L7OK") { // a server counts as up before its first check
				up++
			}
		}
		return up
	}}
}

// background runs a program until the test ends, and waits until it listens.
func background(t *testing.T, address string, names []string, args ...string) {
	t.Helper()
	i := slices.IndexFunc(names, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
	require.GreaterOrEqual(t, i, 0, "there is no %s", names[0])
	command := exec.CommandContext(t.Context(), names[i], args...) //nolint:gosec // our own arguments
	command.Stdout, command.Stderr = t.Output(), t.Output()
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
