//go:build scale

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
