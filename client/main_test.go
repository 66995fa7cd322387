package client_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain starts "millrace dev" from this repository in a process of its own. Tests and examples thus have a real
// server, and this module does not depend on the server's. MILLRACE_URL names another server to use instead.
func TestMain(m *testing.M) {
	if os.Getenv("MILLRACE_URL") != "" {
		os.Exit(m.Run())
	}
	stop, err := startMillrace()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start millrace:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

func startMillrace() (stop func(), err error) {
	dir, err := os.MkdirTemp("/tmp", "millrace-client-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as root its Postgres runs as another user
		return nil, err
	}
	binary := filepath.Join(dir, "millrace")
	build := exec.Command("go", "build", "-o", binary, "./cmd/millrace")
	build.Dir, build.Stderr = "..", os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("build: %w", err)
	}
	server := exec.Command(binary, "dev", "--data", filepath.Join(dir, "data"),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--simulator-addr", "127.0.0.1:0")
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
		_ = os.RemoveAll(dir)
	}
	address := bufio.NewScanner(output)
	for address.Scan() {
		if _, after, found := strings.Cut(address.Text(), "API"); found {
			url := strings.TrimSuffix(strings.TrimSpace(after), "/api/orders")
			return stop, os.Setenv("MILLRACE_URL", url)
		}
	}
	stop()
	return nil, fmt.Errorf("it ended before it was ready")
}
