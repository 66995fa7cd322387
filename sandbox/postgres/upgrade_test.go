//go:build darwin || linux

package postgres_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// TestUpgrade runs the commands of docs/configuration.md, from the oldest version that is installed as Debian does it
// to the newest. With one version it upgrades that to itself, which is as much work for pg_upgrade.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	versions := upgradable()
	if len(versions) == 0 {
		t.Skip("no pg_upgrade is installed in /usr/lib/postgresql")
	}
	from, to := versions[0], versions[len(versions)-1]
	c := config(t, storetest.Dir(t))
	c.Bin = debian(from)
	server := start(t, c)
	execute(t, server.DSN("postgres"), "create table kept as select 'still here' as word")
	stop(t, server)

	fresh := "pg" + strconv.Itoa(to)
	if from == to {
		fresh = "pg" + strconv.Itoa(to+1)
	}
	asRoot, asOwner := upgradeCommands(t, strings.NewReplacer(
		"DATA=/var/lib/millrace/postgres", "DATA='"+c.Dir+"'", "pg15", "pg"+strconv.Itoa(from), "pg18", fresh,
		filepath.Dir(debian(15)), filepath.Dir(debian(from)), filepath.Dir(debian(18)), filepath.Dir(debian(to))))
	if from >= 18 || to < 18 { // as the text says
		asOwner = strings.Replace(asOwner, " --no-data-checksums", "", 1)
	}
	var script string
	if os.Geteuid() == 0 {
		script = strings.Replace(asRoot, "bash postgres\n", "bash postgres -c '\nset -eu\n", 1) + asOwner + "'"
	} else {
		script = strings.Split(asRoot, "\n")[0] + "\n" + asOwner
	}
	out, err := exec.CommandContext(t.Context(), "bash", "-euc", script).CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)

	if from == to { // a directory is named after its version
		require.NoError(t, os.RemoveAll(filepath.Join(c.Dir, "pg"+strconv.Itoa(from))))
		require.NoError(t, os.Rename(filepath.Join(c.Dir, fresh), filepath.Join(c.Dir, "pg"+strconv.Itoa(to))))
	}
	c.Bin = ""
	upgraded := start(t, c)
	require.Equal(t, to, upgraded.Major())
	require.Equal(t, "still here", query(t, upgraded.DSN("postgres"), "select word from kept"))
	stop(t, upgraded)
}

func debian(major int) string { return "/usr/lib/postgresql/" + strconv.Itoa(major) + "/bin" }

// upgradable lists the versions that are installed with their pg_upgrade, the oldest first.
func upgradable() (versions []int) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_upgrade")
	for _, path := range found {
		major, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if _, missing := os.Stat(filepath.Join(filepath.Dir(path), "initdb")); err == nil && missing == nil {
			versions = append(versions, major)
		}
	}
	slices.Sort(versions)
	return versions
}

// upgradeCommands returns the two blocks of commands in the section about upgrades.
func upgradeCommands(t *testing.T, replace *strings.Replacer) (asRoot, asOwner string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n### Upgrading its Postgres\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []string
	within := false
	for line := range strings.Lines(section) {
		indented := strings.HasPrefix(line, "    ")
		if indented && !within {
			blocks = append(blocks, "")
		}
		if within = indented; indented {
			blocks[len(blocks)-1] += strings.TrimPrefix(line, "    ")
		}
	}
	require.Len(t, blocks, 2)
	return replace.Replace(blocks[0]), replace.Replace(blocks[1])
}
