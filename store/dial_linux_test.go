package store_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A server that is gone without a word is noticed soon, also where nothing is sent.
func TestDeadPeersAreNoticed(t *testing.T) {
	t.Parallel()
	pool, _ := throughProxy(t, "")
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	raw, err := conn.Conn().PgConn().Conn().(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	option := func(level, name int) (value int) {
		require.NoError(t, raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }))
		require.NoError(t, err)
		return value
	}
	require.NotZero(t, option(unix.SOL_SOCKET, unix.SO_KEEPALIVE))
	silent := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE) +
		option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)*option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	require.LessOrEqual(t, silent, 15, "seconds until a silent peer is dead")
	require.LessOrEqual(t, option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT), 15000)
}
