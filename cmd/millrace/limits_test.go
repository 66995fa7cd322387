package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestTwoProcessesShareLimits sends a client's requests to two processes, which limit it as if they were one.
func TestTwoProcessesShareLimits(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	key := createKey(t, database, "viewer") // an open server answers no proxy
	args := append(serveArgs(database, newSimulators(t)), "--trusted-proxies", "127.0.0.0/8,::1/128")
	i := slices.Index(args, "--rate-limit")
	args = slices.Delete(args, i, i+2) // the default is 100 a minute
	a, b := startProcess(t, args...), startProcess(t, args...)
	ask := func(i *instance, header ...string) (int, http.Header) {
		if header == nil {
			header = bearer(key)
		}
		status, h, _ := do(t, http.MethodGet, i.api+"/api/orders", "", header...)
		require.Equal(t, `"default";q=100;w=60`, h.Get("RateLimit-Policy"))
		return status, h
	}

	for range 60 {
		status, _ := ask(a)
		require.Equal(t, http.StatusOK, status)
	}
	atB := 0
	require.Eventually(t, func() bool {
		atB++
		status, h := ask(b)
		return status == http.StatusOK && strings.HasPrefix(h.Get("RateLimit"), fmt.Sprintf(`"default";r=%d;`, 40-atB))
	}, 39*time.Second, time.Second, "b never heard of the 60 at a")
	for {
		status, h := ask(b)
		if status == http.StatusTooManyRequests {
			after, err := strconv.Atoi(h.Get("Retry-After"))
			require.NoError(t, err)
			require.True(t, 1 <= after && after <= 60, after)
			break
		}
		atB++
	}
	require.Equal(t, 40, atB)

	// a admits what it can before it hears of b, which is the error that two processes may make.
	above := 0
	require.Eventually(t, func() bool {
		status, _ := ask(a)
		if status == http.StatusOK {
			above++
		}
		return status == http.StatusTooManyRequests
	}, time.Minute, 100*time.Millisecond)
	require.LessOrEqual(t, above, 40)
	t.Logf("%d above the limit of 100", above)

	status, _ := ask(b, "X-Forwarded-For", "192.0.2.1")
	require.Equal(t, http.StatusUnauthorized, status, "another client, behind the trusted proxy")
	for _, i := range []*instance{a, b} {
		status, _, _ := do(t, http.MethodGet, i.api+"/health/ready", "")
		require.Equal(t, http.StatusOK, status)
	}
	require.NoError(t, a.stop())
	require.NoError(t, b.stop())
}

// TestLimitsOfRoles: a customer has the limit of addresses, and a shop's own backend, which is one key, has none.
func TestLimitsOfRoles(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	customer, service := createKey(t, database, "customer", "--customer", "1"), createKey(t, database, "service")
	operator := createKey(t, database, "operator")
	m := startProcessWith(t, []string{"MILLRACE_RATE_LIMIT_OPERATOR=2"},
		"api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	ask := func(key string) (int, string) {
		status, h, _ := do(t, http.MethodGet, m.api+"/api/inventory", "", bearer(key)...)
		return status, h.Get("RateLimit-Policy")
	}
	for range 101 {
		status, policy := ask(service)
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, policy)
	}
	for _, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		status, policy := ask(operator)
		require.Equal(t, want, status)
		require.Equal(t, `"default";q=2;w=60`, policy)
	}
	status, policy := ask(customer)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, `"default";q=100;w=60`, policy)
	require.NoError(t, m.stop())

	err := run(t.Context(), []string{
		"api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--rate-limit=-1", "--rate-limit-customer=-1", "--rate-limit-viewer=-1",
		"--rate-limit-service=-1", "--rate-limit-operator=-1", "--rate-limit-admin=-1",
	}, io.Discard, io.Discard)
	for _, flag := range []string{"", "-customer", "-viewer", "-service", "-operator", "-admin"} {
		require.ErrorContains(t, err, "--rate-limit"+flag+`: "-1" is not accepted`)
	}
}

// TestSlowClients holds connections as an attacker with few connections would, to make the server run out of them. The
// server cuts them off, and serves others meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	m := startProcess(t, serveArgs(storetest.URL(t), newSimulators(t))...)
	const body = "POST /api/orders HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\n" +
		"Content-Length: 200000\r\n\r\n{"
	tests := []struct {
		name, start, drip string
		want              string // the first line of the answer; empty: none
	}{
		{"Silent", "", "", ""},
		{"SlowHeader", "GET /api/orders HTTP/1.1\r\nHost: [::1]\r\n", "X-Slow: x\r\n", ""},
		{"SlowBody", body, " ", "HTTP/1.1 408 Request Timeout"},
		{"SilentBody", body, "", "HTTP/1.1 408 Request Timeout"},
		{
			"HeaderOf16KiB",
			"GET /api/orders HTTP/1.1\r\nHost: [::1]\r\nX-Flood: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", "",
			"HTTP/1.1 431 Request Header Fields Too Large",
		},
		{
			"ManyHeaders", "GET /api/orders HTTP/1.1\r\nHost: [::1]\r\n" + strings.Repeat("X-Flood: x\r\n", 1500) + "\r\n", "",
			"HTTP/1.1 431 Request Header Fields Too Large",
		},
	}
	var slow sync.WaitGroup
	for _, tt := range tests {
		for range 20 {
			slow.Go(func() {
				conn, err := net.Dial("tcp", strings.TrimPrefix(m.api, "http://"))
				if err != nil {
					t.Errorf("%s: %v", tt.name, err)
					return
				}
				defer func() { _ = conn.Close() }()
				go drip(conn, tt.start, tt.drip)
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				answer := bufio.NewReader(conn)
				line, _ := answer.ReadString('\n')
				_, err = io.Copy(io.Discard, answer)
				if line = strings.TrimSpace(line); line != tt.want {
					t.Errorf("%s: %q instead of %q", tt.name, line, tt.want)
				}
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: never cut off", tt.name)
				}
			})
		}
	}
	for range 20 { // others are served
		status, _, _ := do(t, http.MethodGet, m.api+"/api/orders", "")
		require.Equal(t, http.StatusOK, status)
	}
	slow.Wait()
	almost := strings.Repeat("x", 15<<10)
	status, _, _ := do(t, http.MethodGet, m.api+"/api/orders", "", "X-Large", almost)
	require.Equal(t, http.StatusOK, status, "a header just below the limit")
	require.NoError(t, m.stop())
}

// drip sends one piece after another until the connection is cut.
func drip(conn net.Conn, start, piece string) {
	_, err := io.WriteString(conn, start)
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	for err == nil && piece != "" {
		<-every.C
		_, err = io.WriteString(conn, piece)
	}
}
