//go:build nginx

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestNginx follows events through an nginx with the configuration that is shipped, over HTTP/1.1 and HTTP/2.
func TestNginx(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	key := createKey(t, database, "admin") // an open server answers no proxy
	m := startDev(t, "--data", storetest.Dir(t), "--database-url", database)
	socket, logs := startNginx(t, m)
	_, _, body := do(t, http.MethodPost, m.api+"/api/stream-tickets", "", bearer(key)...)
	var ticket struct{ Ticket string }
	require.NoError(t, json.Unmarshal(body, &ticket))
	for _, http2 := range []bool{false, true} { //nolint:paralleltest // there is one log
		t.Run(fmt.Sprint("HTTP2=", http2), func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{
				ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "unix", socket)
				},
			}}
			defer client.CloseIdleConnections()
			follow := func(path string) (*http.Response, *bufio.Scanner) {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://nginx"+path, nil)
				require.NoError(t, err)
				r.Header.Set("Accept", "text/event-stream")
				response, err := client.Do(r)
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, response.StatusCode)
				require.Equal(t, http2, response.ProtoMajor == 2)
				return response, bufio.NewScanner(response.Body)
			}
			response, lines := follow("/api/events?ticket=" + ticket.Ticket)
			defer func() { _ = response.Body.Close() }()
			until := func(want string) {
				for lines.Scan() {
					if strings.Contains(lines.Text(), want) {
						return
					}
				}
				require.Fail(t, "the stream ended", "%v before %s", lines.Err(), want)
			}
			until("event: cursor")
			// Nothing else is sent until there is a reason: what comes has not waited in a buffer for more.
			_, _, body := do(t, http.MethodPost, m.api+"/api/orders", seedOrder, bearer(key)...)
			var placed order
			require.NoError(t, json.Unmarshal(body, &placed))
			id := placed.OrderID
			until(id)
			until(`"status":"completed"`)
			until(": heartbeat")
			one, _ := follow("/api/orders/" + id + "/events?ticket=" + ticket.Ticket)
			_ = one.Body.Close()
		})
	}
	for _, name := range []string{"millrace.log", "millrace-error.log"} {
		logged, err := os.ReadFile(filepath.Join(logs, name))
		require.NoError(t, err)
		require.NotContains(t, string(logged), ticket.Ticket)
		if name == "millrace.log" {
			require.Contains(t, string(logged), " GET /api/events 200 ")
		}
	}
}

// startNginx runs nginx with deploy/nginx.conf, with addresses and paths of the test's own.
func startNginx(t *testing.T, m *instance) (socket, dir string) {
	t.Helper()
	dir = t.TempDir()
	shipped, err := os.ReadFile("../../deploy/nginx.conf")
	require.NoError(t, err)
	socket = filepath.Join(dir, "nginx.sock") // a different program could take a port before nginx does
	writeCertificate(t, dir)
	config := strings.NewReplacer(
		"listen 443", "listen unix:"+socket, "127.0.0.1:8080", strings.TrimPrefix(m.api, "http://"),
		"    server 127.0.0.1:8090;\n", "", "/var/log/nginx", dir, "/etc/ssl", dir,
	).Replace(string(shipped))
	file := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid;
error_log %[1]s/nginx-error.log;
events {}
http {
client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u;
scgi_temp_path %[1]s/s;
%[2]s}`, dir, config)), 0o600))
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
	}
	nginx := exec.CommandContext(t.Context(), path, "-c", file, "-e", filepath.Join(dir, "nginx-error.log"))
	nginx.Stdout, nginx.Stderr = t.Output(), t.Output()
	require.NoError(t, nginx.Start())
	t.Cleanup(func() {
		_ = nginx.Process.Kill()
		_ = nginx.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return socket, dir
}

func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"orders.example.com.pem": {Type: "CERTIFICATE", Bytes: certificate},
		"orders.example.com.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}
