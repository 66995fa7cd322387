package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
)

// poolerEnv has the tests work through a PgBouncer: "transaction" or "session", its pool mode.
const poolerEnv = "MILLRACE_TEST_POOLER"

// Pooled reports whether the tests work through a PgBouncer in transaction mode.
func Pooled() bool { return os.Getenv(poolerEnv) == "transaction" }

// NeedsSessions skips a test of what only sessions have, if the tests work through a pooler.
func NeedsSessions(t testing.TB, why string) {
	t.Helper()
	if Pooled() {
		t.Skip("behind a pooler in transaction mode: " + why)
	}
}

// A Pooler is a PgBouncer in front of the tests' Postgres.
type Pooler struct {
	dir string
	pid int
}

// port names the socket; PgBouncer listens on no network.
const poolerPort = 6432

// URL is the address of a database through the pooler.
func (p *Pooler) URL(database, mode string) string {
	query := url.Values{
		"host": {p.dir}, "port": {strconv.Itoa(poolerPort)}, "sslmode": {"disable"},
	}
	if mode != "" {
		query.Set("pooler", mode)
	}
	u := url.URL{Scheme: "postgres", User: url.User(postgres.User), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// configure writes what PgBouncer reads.
func (p *Pooler) configure(socket, mode, settings string) (path string, err error) {
	users := []string{postgres.User, ServeRole, "postgres"}
	for i := range 1000 {
		users = append(users, "role_"+strconv.Itoa(i+1))
	}
	var list strings.Builder
	for _, user := range users {
		fmt.Fprintf(&list, "%q \"\"\n", user)
	}
	config := fmt.Sprintf(`[databases]
* = host=%s port=5432
[pgbouncer]
unix_socket_dir = %s
listen_port = %d
auth_type = trust
auth_file = %s
pool_mode = %s
max_client_conn = 2000
default_pool_size = 60
server_idle_timeout = 10
log_connections = 0
log_disconnections = 0
%s
`, socket, p.dir, poolerPort, filepath.Join(p.dir, "users"), mode, settings)
	path = filepath.Join(p.dir, "pgbouncer.ini")
	return path, errors.Join(os.WriteFile(filepath.Join(p.dir, "users"), []byte(list.String()), 0o644),
		os.WriteFile(path, []byte(config), 0o644))
}

// socket is the directory of the server's socket.
func (t *testServer) socket() string {
	u, _ := url.Parse(t.DSN("postgres"))
	return u.Query().Get("host")
}

// url is the address of a database as the tests connect to it.
func (t *testServer) url(name string) string {
	if t.pooler == nil {
		return t.DSN(name)
	}
	return t.pooler.URL(name, os.Getenv(poolerEnv))
}

// named has tests name tables without their schema. Behind a pooler, the database itself has the search path.
func named(url string) string {
	if Pooled() {
		return url
	}
	return url + SearchPath
}

// pooled is the address of a fresh, migrated database, through the pooler if there is one.
func pooled(t testing.TB, limits string) string {
	t.Helper()
	s, err := server()
	require.NoError(t, err)
	return s.url(strings.TrimPrefix(mustPath(t, URL(t)), "/")) + limits
}

func mustPath(t testing.TB, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u.Path
}
