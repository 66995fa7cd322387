package main

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestSystemd plays systemd's part: a process with NOTIFY_SOCKET reports that it is ready, alive, reloading and
// stopping.
func TestSystemd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer func() { _ = systemd.Close() }()
	hears := func(want string) {
		t.Helper()
		require.NoError(t, systemd.SetReadDeadline(time.Now().Add(time.Minute)))
		for buffer := make([]byte, 1024); ; {
			n, err := systemd.Read(buffer)
			require.NoError(t, err, want)
			if first, _, _ := strings.Cut(string(buffer[:n]), "\n"); first == want {
				return
			}
		}
	}
	m := startProcessWith(t, []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=100000"},
		"api", "--database-url", storetest.As(storetest.URL(t), storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0")
	hears("WATCHDOG=1")
	hears("READY=1")
	hears("WATCHDOG=1")
	require.NoError(t, m.process.Signal(syscall.SIGHUP))
	hears("RELOADING=1")
	hears("READY=1")
	done := make(chan error, 1)
	go func() { done <- m.stop() }()
	hears("STOPPING=1")
	require.NoError(t, <-done)
}
