//go:build deploy

package deploy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-orders/millrace/store/storetest"
)

type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	Tmpfs       []string
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	Healthcheck *struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

// requireConditions requires that what a service waits for can come true.
func requireConditions(t *testing.T, services map[string]service) {
	t.Helper()
	for name, s := range services {
		for other, d := range s.DependsOn {
			require.Contains(t, services, other, name)
			switch d.Condition {
			case "service_healthy":
				require.NotNil(t, services[other].Healthcheck, "%s waits for the health of %s", name, other)
			case "service_completed_successfully":
				require.Equal(t, []string{"migrate"}, services[other].Command)
			default:
				t.Errorf("%s only waits for the start of %s", name, other)
			}
		}
	}
}

// TestCompose runs the services of compose.yaml from the image's root file system: as its user, without any capability,
// on a read-only root. No engine is needed, and Postgres is the tests' own.
func TestCompose(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount")
	}
	services, ports := composed(t)
	c := &containers{root: unpack(t), database: forwarded(t, storetest.EmptyURL(t))}

	require.Error(t, c.health(t, services["simulators"]))
	c.start(t, services["simulators"], "")
	awaitPort(t, ports["8082"])
	require.NoError(t, c.health(t, services["simulators"]))
	require.NoError(t, c.start(t, services["migrate"], "").Wait())
	millrace := c.start(t, services["millrace"], `"msg":"ready"`)
	require.Eventually(t, func() bool { return c.health(t, services["millrace"]) == nil }, time.Minute,
		time.Second, "a process is ready after its first heartbeat")
	requireConfined(t, millrace.Process.Pid)
	requireOrder(t, ports["8080"])
	require.NoError(t, millrace.Process.Signal(syscall.SIGTERM))
	require.NoError(t, millrace.Wait(), "it drains and exits with 0")
}

// composedToken is the token of compose.yaml's Millrace.
const composedToken = "token-token-token-token-token-token-"

// composed returns the services of compose.yaml, with ports that no other process has.
func composed(t *testing.T) (services map[string]service, ports map[string]string) {
	t.Helper()
	content, err := os.ReadFile("../compose.yaml")
	require.NoError(t, err)
	text := regexp.MustCompile(`\$\{MILLRACE_TOKEN:\?[^}]*\}`).ReplaceAllString(string(content), composedToken)
	ports = map[string]string{"8080": "", "8081": "", "8082": ""}
	for port := range ports {
		ports[port] = freePort(t)
		text = strings.ReplaceAll(text, ":"+port, ":"+ports[port])
	}
	var compose struct{ Services map[string]service }
	require.NoError(t, yaml.Unmarshal([]byte(text), &compose))
	require.Contains(t, compose.Services, "postgres")
	requireConditions(t, compose.Services)
	return compose.Services, ports
}

// requireConfined requires that a process has no rights that it does not need.
func requireConfined(t *testing.T, pid int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for _, want := range []string{
		"Uid:\t65532\t65532", "Gid:\t65532\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1",
	} {
		require.Contains(t, string(status), want)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	require.NoError(t, err)
	require.Regexp(t, ` / ro,`, string(mounts), "the root is read-only")
}

// requireOrder places an order, and requires that it is completed.
func requireOrder(t *testing.T, port string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://127.0.0.1:"+port+"/api/orders",
		strings.NewReader(`{"customerId":"1","items":[{"productId":1,"quantity":2,"price":29.99}]}`))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Authorization": "Bearer " + composedToken, "Content-Type": "application/json", "Idempotency-Key": uuid.NewString(),
		"Prefer": "wait=30",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"status":"completed"`)
}

// containers start services in the image's root.
type containers struct{ root, database string }

// start starts a service, and waits until it prints a text; empty for none.
func (c *containers) start(t *testing.T, s service, until string) *exec.Cmd {
	t.Helper()
	require.Equal(t, "millrace", s.Image)
	require.True(t, s.ReadOnly)
	require.Equal(t, []string{"ALL"}, s.CapDrop)
	script := `set -e; mount --bind "$ROOT" "$ROOT"; printf '127.0.0.1 simulators postgres\n' > "$ROOT/etc/hosts"`
	for _, mount := range s.Tmpfs {
		dir, options, _ := strings.Cut(mount, ":")
		script += fmt.Sprintf("\nmkdir -p \"$ROOT%s\"; mount -t tmpfs -o '%s' tmpfs \"$ROOT%[1]s\"", dir, options)
	}
	script += "\nmount -o remount,ro,bind \"$ROOT\"; exec \"$@\""
	self, err := os.Executable()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "unshare", append([]string{
		"--mount", "--", "sh", "-c", script, "sh", "env", entering + "=" + c.root, self, "/millrace",
	}, s.Command...)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "ROOT=" + c.root}
	for name, value := range s.Environment {
		if name == "DATABASE_URL" {
			value = c.database
		}
		command.Env = append(command.Env, name+"="+value)
	}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = time.Minute
	stderr, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewScanner(stderr)
	if until != "" {
		var seen bytes.Buffer
		for found := false; !found; found = strings.Contains(lines.Text(), until) {
			require.True(t, lines.Scan(), seen.String())
			seen.WriteString(lines.Text() + "\n")
		}
	}
	go func() {
		for lines.Scan() {
			_, _ = fmt.Fprintln(t.Output(), lines.Text())
		}
	}()
	return command
}

// health runs a service's health check in a container of its own. In the test all of them have one network.
func (c *containers) health(t *testing.T, s service) error {
	t.Helper()
	require.NotNil(t, s.Healthcheck)
	require.Equal(t, []string{"CMD", "/millrace"}, s.Healthcheck.Test[:2], "the image has no shell")
	s.Command = s.Healthcheck.Test[2:]
	s.Tmpfs = nil
	return c.start(t, s, "").Wait()
}

// forwarded returns a URL of a database over TCP: the tests' server listens on a socket that other users cannot reach.
func forwarded(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	socket := u.Query().Get("host") + "/.s.PGSQL.5432"
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket) //nolint:noctx // local
			if err != nil {
				_ = client.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
				}()
			}
		}
	}()
	return "postgres://" + u.User.Username() + "@" + listener.Addr().String() + u.Path + "?sslmode=disable"
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return port
}

func awaitPort(t *testing.T, port string) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
}
