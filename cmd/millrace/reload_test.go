package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// write writes a file of a test, as a platform does: a new file that replaces the old one.
func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// TestReload: SIGHUP, or a file that changes, brings a new token, log level, limits and origins. Bad settings change
// nothing, and no secret is logged.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings, token := filepath.Join(dir, "settings"), filepath.Join(dir, "token")
	first, second, third := strings.Repeat("first-", 6), strings.Repeat("second-", 6), strings.Repeat("third-", 6)
	write(t, settings, "# ours\nMILLRACE_TOKEN_FILE="+token+
		"\nMILLRACE_RATE_LIMIT_ADMIN=\"500\"\nMILLRACE_LOG_LEVEL=DEBUG\n")
	write(t, token, first+"\n")
	database := storetest.URL(t)
	m := startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--settings-file", settings)
	ask := func(token string) (int, http.Header) {
		status, header, _ := do(t, http.MethodGet, m.api+"/api/inventory", "", "Authorization", "Bearer "+token,
			"Origin", "https://shop.example")
		return status, header
	}
	follows := func(token string) {
		t.Helper()
		require.Eventually(t, func() bool {
			status, _ := ask(token)
			return status == http.StatusOK
		}, time.Minute, 20*time.Millisecond)
	}
	status, header := ask(first)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, `"default";q=500;w=60`, header.Get("RateLimit-Policy"))
	require.Empty(t, header.Get("Access-Control-Allow-Origin"))

	write(t, token, second)
	write(t, settings, "MILLRACE_TOKEN_FILE="+token+`
		MILLRACE_RATE_LIMIT_ADMIN=400
		MILLRACE_ALLOWED_ORIGINS=https://shop.example
		MILLRACE_MAX_STREAMS=7`)
	require.NoError(t, m.process.Signal(syscall.SIGHUP))
	follows(second)
	require.Eventually(t, func() bool {
		return strings.Contains(m.log.String(), `"settings":"max-streams"`)
	}, time.Minute, 20*time.Millisecond)
	require.Contains(t, m.log.String(), `"changed":"allowed-origins,log-level,rate-limit-admin,token"`)
	status, _ = ask(first)
	require.Equal(t, http.StatusUnauthorized, status, "the old token")
	_, header = ask(second)
	require.Equal(t, `"default";q=400;w=60`, header.Get("RateLimit-Policy"))
	require.Equal(t, "https://shop.example", header.Get("Access-Control-Allow-Origin"))
	status, _, _ = do(t, http.MethodGet, m.ops+"/metrics", "", "Authorization", "Bearer "+second)
	require.Equal(t, http.StatusOK, status, "on the operations address as well")

	write(t, settings, "MILLRACE_TOKEN_FILE="+token+"\nMILLRACE_RATE_LIMIT_ADMIN=many")
	require.NoError(t, m.process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool {
		return strings.Contains(m.log.String(), "settings not reloaded") &&
			strings.Contains(m.log.String(), `\"many\" is not accepted`)
	}, time.Minute, 20*time.Millisecond)
	follows(second)

	write(t, settings, "MILLRACE_TOKEN_FILE="+token)
	write(t, token, third) // and no signal
	follows(third)
	for _, secret := range []string{first, second, third} {
		require.NotContains(t, m.log.String(), secret)
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.process.Pid), "cmdline"))
	if err == nil {
		require.NotContains(t, string(line), first)
	}
	require.NoError(t, m.stop())
}

// What changes while a process starts counts once it follows its settings.
func TestSettingsThatChangeDuringTheStart(t *testing.T) {
	t.Parallel()
	settings := filepath.Join(t.TempDir(), "settings")
	args := []string{"api", "--database-url=postgres://a/m", "--settings-file=" + settings}
	write(t, settings, "MILLRACE_RATE_LIMIT=50\n")
	before, err := readAgain(args)
	require.NoError(t, err)
	write(t, settings, "MILLRACE_RATE_LIMIT=60\n")

	log := new(logged)
	n := &node{logger: slog.New(slog.NewJSONHandler(log, nil))}
	t.Cleanup(n.stop)
	hangups := make(chan os.Signal, 1)
	hangups <- syscall.SIGHUP
	n.followSettings(args, before, hangups, newNotifier(n.logger, func(string) string { return "" }))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), `"changed":"rate-limit`) },
		time.Minute, time.Millisecond, "%s", log)
}

// TestSettingsFile: a settings file is checked like everything else.
func TestSettingsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "settings")
	args := []string{"api", "--database-url=postgres://db/shop", "--settings-file", file}
	require.Contains(t, settingsProblems(t, args...)[0], "--settings-file: ")
	const unnamed = " is not NAME=value with the name of a setting"
	for content, want := range map[string]string{
		"MILLRACE_RATE_LIMTI=3\n":        "--settings-file: line 1 of " + file + unnamed,
		"\n# x\nMILLRACE_RATE_LIMIT\n":   "--settings-file: line 3 of " + file + unnamed,
		"MILLRACE_RATE_LIMIT=many":       `--rate-limit: "many" is not accepted; use a whole number, at least 0`,
		"MILLRACE_MAX_IN_FLIGHT=0":       `--max-in-flight: "0" is not accepted; use a whole number, at least 1`,
		"MILLRACE_TOKEN=short-s3cr3t":    "--token must have at least 32 characters",
		"MILLRACE_TLS_CERT=/etc/tls/crt": "--tls-cert and --tls-key must be set together",
	} {
		write(t, file, content)
		require.Equal(t, []string{want}, settingsProblems(t, args...), content)
	}
	write(t, file, "MILLRACE_RATE_LIMIT=3\n"+
		"MILLRACE_ALLOWED_ORIGINS='https://a.example,https://b.example'\nMILLRACE_SEED=4")
	r, err := readAgain(append(args, "--rate-limit-service=5"))
	require.NoError(t, err)
	require.Equal(t, 3, r.config.limits.Base)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, r.config.api.AllowedOrigins)
	require.Equal(t, []string{file}, r.files)
	r, err = readAgain(append(args, "--rate-limit=9"))
	require.NoError(t, err)
	require.Equal(t, 9, r.config.limits.Base, "a flag overrides the file")
}

// TestTLS serves both addresses over TLS, and follows a certificate that is replaced.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	issue := func(serial int64) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		require.NoError(t, err)
		encoded, err := x509.MarshalPKCS8PrivateKey(private)
		require.NoError(t, err)
		write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
		write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	issue(1)
	m := startProcess(t, "api", "--database-url", storetest.As(storetest.URL(t), storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
	ask := func(url string) (serial int64, protocol int) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		url = strings.Replace(url, "http:", "https:", 1)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(io.Discard, response.Body)
		require.Equal(t, http.StatusOK, response.StatusCode)
		return response.TLS.PeerCertificates[0].SerialNumber.Int64(), response.ProtoMajor
	}
	for _, url := range []string{m.api + "/health/live", m.ops + "/metrics"} {
		serial, protocol := ask(url)
		require.EqualValues(t, 1, serial)
		require.Equal(t, 2, protocol)
	}
	status, _, _ := do(t, http.MethodGet, m.api+"/health/live", "")
	require.Equal(t, http.StatusBadRequest, status, "without TLS")

	issue(2)
	require.NoError(t, m.process.Signal(syscall.SIGHUP))
	for _, url := range []string{m.api + "/health/live", m.ops + "/metrics"} {
		require.Eventually(t, func() bool {
			serial, _ := ask(url)
			return serial == 2
		}, time.Minute, 20*time.Millisecond)
	}
	write(t, key, "not a key")
	require.NoError(t, m.process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(m.log.String(), "settings not reloaded") }, time.Minute,
		20*time.Millisecond)
	serial, _ := ask(m.api + "/health/live")
	require.EqualValues(t, 2, serial, "the certificate before stays")
	issue(3) // and no signal
	require.Eventually(t, func() bool {
		serial, _ := ask(m.api + "/health/live")
		return serial == 3
	}, time.Minute, 20*time.Millisecond)
}
