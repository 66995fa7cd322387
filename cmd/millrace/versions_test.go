//go:build versions

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// beforeRelease is the version before as long as there is no release: the last commit without migration 0031.
const beforeRelease = "f413b57"

var (
	versionsBefore = flag.String("versions.before", "", "git ref of the version before; default: the newest tag, or "+
		beforeRelease)
	versionsFor    = flag.Duration("versions.for", 10*time.Minute, "how long both versions run together")
	versionsOrders = flag.Int("versions.orders", 100_000, "orders in the database that is migrated under load")
)

// TestVersions runs the version before (N-1) under load, migrates beneath it, adds this version (N), kills processes of
// both for a while, and goes back: N-1 goes on alone. No accepted order is lost or done twice, and verification finds
// nothing.
func TestVersions(t *testing.T) { //nolint:paralleltest // it takes the whole machine
	database, simulators := storetest.EmptyURL(t), newSimulators(t)
	versions := []program{buildBefore(t), this()}
	start := func(n int) *instance { return versions[n].start(t, database, simulators) }
	versions[0].migrate(t, database)
	members := &fleet{}
	members.add(start(0))
	members.add(start(0))
	stop := members.run(t, 4)
	members.await(t, 20)

	versions[1].migrate(t, database)
	members.add(start(1))
	members.add(start(1))
	kills := 0
	for deadline := time.Now().Add(*versionsFor); time.Now().Before(deadline); kills++ {
		n := rand.IntN(4)
		members.replace(n, func() *instance { return start(n / 2) })
		members.await(t, 20)
	}
	var out bytes.Buffer
	require.Eventually(t, func() bool { // a page of orders has seconds, which a busy machine may need for less
		out.Reset()
		err := run(t.Context(), []string{"check-upgrade", "--database-url", database, "--orders", "1000"}, &out, t.Output())
		return !errors.Is(err, errNotVerified)
	}, 5*time.Minute, time.Second)
	require.Contains(t, out.String(), ": 0 would differ\n")

	members.remove(3).kill() // the way back is taken in need
	require.NoError(t, members.remove(2).stop())
	members.await(t, 50) // N-1 alone
	stop()
	ids := members.ids()
	t.Logf("%d orders, %d kills in %v", len(ids), kills, *versionsFor)
	awaitAll(t, database, len(ids))
	requireExact(t, simulators, ids)
	out.Reset()
	require.NoError(t, run(t.Context(), []string{"verify", "--deep", "--database-url", database}, &out, t.Output()),
		out.String())
	t.Log(out.String())
}

// awaitAll waits until all orders are completed, and compares their number.
func awaitAll(t *testing.T, database string, placed int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var all, completed int
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE status = 'completed')
			FROM millrace.orders`).Scan(&all, &completed)
		return err == nil && completed == all
	}, 5*time.Minute, 100*time.Millisecond)
	require.Equal(t, placed, all)
}

// program is Millrace of some version.
type program struct {
	path        string
	environment []string
}

func this() program { return program{os.Args[0], []string{asMillrace + "=1"}} }

func (v program) start(t *testing.T, database, simulators string) *instance {
	t.Helper()
	return startProgram(t, v.path, v.environment, append(serveArgs(database, simulators),
		"--api-connections", "5", "--work-connections", "5")...)
}

func (v program) migrate(t *testing.T, database string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), v.path, "migrate", "--database-url", database,
		"--grant", storetest.ServeRole)
	command.Env = append(os.Environ(), v.environment...)
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

// buildBefore builds the version before from the repository's history.
func buildBefore(t *testing.T) program {
	t.Helper()
	tag, _ := exec.CommandContext(t.Context(),
		"git", "describe", "--tags", "--match", "v*", "--abbrev=0", "HEAD~1").Output()
	ref := cmp.Or(*versionsBefore, strings.TrimSpace(string(tag)), beforeRelease)
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "millrace")
	require.NoError(t, os.Mkdir(tree, 0o755))
	shell := func(line, hint string) {
		out, err := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-ec", line).CombinedOutput()
		require.NoError(t, err, "%s: %s\n%s", line, out, hint)
	}
	shell(fmt.Sprintf("git -C ../.. archive %s | tar -x -C %s", ref, tree), "the version before is built from the "+
		"repository's history: fetch all of it (git fetch --unshallow --tags), or name another commit (-versions.before)")
	shell(fmt.Sprintf("cd %s && go build -trimpath -o %s ./cmd/millrace", tree, binary), "")
	t.Log("the version before is", ref)
	return program{path: binary}
}
