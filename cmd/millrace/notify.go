package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells systemd about the process (sd_notify). Without systemd it does nothing.
type notifier struct {
	conn     net.Conn      // nil without systemd
	watchdog time.Duration // after which systemd kills a process that is silent; 0 for never
	logger   *slog.Logger
}

// newNotifier reads the variables that systemd sets for a unit with Type=notify.
func newNotifier(logger *slog.Logger, env func(string) string) *notifier {
	n := &notifier{logger: logger}
	socket := env("NOTIFY_SOCKET")
	if socket == "" {
		return n
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"}) // @… is an abstract name
	if err != nil {
		logger.Warn("systemd not notified", "error", err)
		return n
	}
	n.conn = conn
	micros, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
	if pid := env("WATCHDOG_PID"); err == nil && micros > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(micros) * time.Microsecond
	}
	return n
}

// send sends a state, such as READY=1.
func (n *notifier) send(format string, args ...any) {
	if n.conn == nil {
		return
	}
	if _, err := fmt.Fprintf(n.conn, format, args...); err != nil {
		n.logger.Warn("systemd not notified", "error", err)
	}
}

// feed tells systemd that the process lives, twice in the watchdog's time, until ctx ends.
func (n *notifier) feed(ctx context.Context) {
	if n.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(n.watchdog / 2)
	defer ticker.Stop()
	for {
		n.send("WATCHDOG=1")
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
