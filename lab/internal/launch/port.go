package launch

import (
	"context"
	"net"
	"strconv"
)

// FreePort asks the system for a port of the loopback address that nothing listens on, for servers that keep their
// address when they are started again, or cannot ask themselves.
func FreePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// Address is the loopback address with a port.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
