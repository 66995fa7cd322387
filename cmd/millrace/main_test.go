package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// asMillrace makes the test binary behave as millrace, for tests that need a process to kill.
const asMillrace = "MILLRACE_TEST_AS_MILLRACE"

func TestMain(m *testing.M) {
	if os.Getenv(asMillrace) != "" {
		main()
		return
	}
	storetest.Main(m)
}

// seedOrder is the order that the load test of the architecture which Millrace replaces places.
const seedOrder = `{
      "customerId": "1",
      "items": [
        {"productId": 1, "quantity": 2, "price": 29.99},
        {"productId": 2, "quantity": 1, "price": 149.99}
      ]
    }`

// instance is a running millrace, in this process or in another.
type instance struct {
	t                    *testing.T
	api, ops, simulators string
	stop                 func() error // as SIGTERM does; waits
	kill                 func()       // as kill -9 does; waits. nil in this process
	process              *os.Process  // nil in this process
	log                  logged       // after it was ready; empty in this process
	said                 []string     // what it logged until it was ready
}

// startDev runs "millrace dev" in this process.
func startDev(t *testing.T, args ...string) *instance {
	t.Helper()
	return startHere(t, append([]string{
		"dev", "--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--simulator-addr", "127.0.0.1:0",
	}, args...)...)
}

func startHere(t *testing.T, args ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, in, t.Output())
		_ = in.CloseWithError(io.EOF)
		done <- err
	}()
	var stopped bool
	i := &instance{t: t, stop: func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}}
	t.Cleanup(func() { _ = i.stop() })
	i.readAddresses(out)
	return i
}

// startProcess runs millrace in a process of its own.
func startProcess(t *testing.T, args ...string) *instance {
	t.Helper()
	return startProcessWith(t, nil, args...)
}

// startProcessWith adds to its environment.
func startProcessWith(t *testing.T, environment []string, args ...string) *instance {
	t.Helper()
	return startProgram(t, os.Args[0], append(slices.Clip(environment), asMillrace+"=1"), args...)
}

// startProgram starts a program that may be another one than this.
func startProgram(t *testing.T, path string, environment []string, args ...string) *instance {
	t.Helper()
	command := exec.CommandContext(context.Background(), path, args...)
	command.Env = append(os.Environ(), environment...)
	stderr, err := command.StderrPipe()
	require.NoError(t, err)
	command.Stdout = t.Output()
	require.NoError(t, command.Start())
	i := &instance{
		t: t,
		stop: func() error {
			if err := command.Process.Signal(os.Interrupt); err != nil {
				return err
			}
			return command.Wait()
		},
		kill: func() {
			_ = command.Process.Kill()
			_ = command.Wait()
		},
		process: command.Process,
	}
	t.Cleanup(i.kill)
	i.readReady(stderr)
	return i
}

// readAddresses reads what dev prints.
func (i *instance) readAddresses(r io.Reader) {
	i.t.Helper()
	lines := bufio.NewScanner(r)
	for range 6 {
		require.True(i.t, lines.Scan(), "it ended before it was ready")
		name, url, ok := strings.Cut(lines.Text(), "http://")
		require.True(i.t, ok, lines.Text())
		host, _, _ := strings.Cut(url, "/")
		switch strings.TrimSpace(name) {
		case "API":
			i.api = "http://" + host
		case "Metrics":
			i.ops = "http://" + host
		case "Simulators":
			i.simulators = "http://" + host
		}
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
}

// readReady reads the log until it says ready, and hands the rest to the test's log.
func (i *instance) readReady(r io.Reader) {
	i.t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var entry struct{ Msg, API, Ops string }
		require.NoError(i.t, json.Unmarshal(lines.Bytes(), &entry), lines.Text())
		i.said = append(i.said, entry.Msg)
		if entry.Msg == "ready" {
			i.api, i.ops = "http://"+entry.API, "http://"+entry.Ops
			go func() {
				for lines.Scan() {
					_, _ = i.log.Write(append(lines.Bytes(), '\n'))
				}
				_, _ = io.Copy(io.Discard, r) // a line that is too long
			}()
			return
		}
	}
	require.Fail(i.t, "it ended before it was ready")
}

type order struct {
	OrderID string `json:"orderId"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
}

// get reads url and decodes the JSON it answers into v.
func get(t *testing.T, url string, v any) {
	t.Helper()
	status, _, body := do(t, http.MethodGet, url, "")
	require.Equal(t, http.StatusOK, status, string(body))
	if text, ok := v.(*string); ok {
		*text = string(body)
		return
	}
	require.NoError(t, json.Unmarshal(body, v), string(body))
}

func do(t *testing.T, method, url, body string, headers ...string) (int, http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewBufferString(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for h := 0; h+1 < len(headers); h += 2 {
		request.Header.Set(headers[h], headers[h+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, answer
}

func (i *instance) place(body string) order {
	i.t.Helper()
	key := uuid.NewString()
	status, _, answer := do(i.t, http.MethodPost, i.api+"/api/orders", body, "Idempotency-Key", key)
	for status == http.StatusServiceUnavailable { // the machine has too much to do
		status, _, answer = do(i.t, http.MethodPost, i.api+"/api/orders", body, "Idempotency-Key", key)
	}
	require.Equal(i.t, http.StatusAccepted, status, string(answer))
	var o order
	require.NoError(i.t, json.Unmarshal(answer, &o))
	return o
}

func (i *instance) await(id, status string) order {
	i.t.Helper()
	var o order
	require.Eventually(i.t, func() bool {
		code, _, answer := do(i.t, http.MethodGet, i.api+"/api/orders/"+id, "")
		if code == http.StatusServiceUnavailable { // the machine has too much to do
			return false
		}
		require.Equal(i.t, http.StatusOK, code, string(answer))
		require.NoError(i.t, json.Unmarshal(answer, &o), string(answer))
		return o.Status == status
	}, 2*time.Minute, 20*time.Millisecond, "waiting for %s", status)
	return o
}

type effect struct {
	Operation string      `json:"operation"`
	OrderID   string      `json:"orderId"`
	Amount    json.Number `json:"amount"`
}

// effects lists what really happened at the providers, by order.
func effects(t *testing.T, simulators string) map[string][]effect {
	t.Helper()
	var ledger []effect
	get(t, simulators+"/ledger", &ledger)
	byOrder := map[string][]effect{}
	for _, e := range ledger {
		byOrder[e.OrderID] = append(byOrder[e.OrderID], e)
	}
	return byOrder
}
