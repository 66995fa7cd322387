package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuards finds out early that a guard was rewritten: make faults would say so after an hour.
func TestGuards(t *testing.T) {
	t.Parallel()
	for _, g := range guards() {
		_, err := g.overlay("../..", t.TempDir())
		require.NoError(t, err, g.id)
		if g.tests == "" {
			require.True(t, slices.ContainsFunc(rows(), func(w row) bool { return w.id == g.seenBy }), g.id)
			continue
		}
		files, err := filepath.Glob(filepath.Join("../..", g.tests, "*_test.go"))
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(files, func(name string) bool {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			return strings.Contains(string(b), "func "+g.seenBy+"(t *testing.T)")
		}), g.id)
	}
}

// TestGuardsBuild builds the source without any of its guards. A row whose source does not build would prove nothing.
func TestGuardsBuild(t *testing.T) {
	t.Parallel()
	source, err := filepath.Abs("../..")
	require.NoError(t, err)
	files := map[string]string{}
	for _, g := range guards() {
		text, ok := files[g.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(source, g.file))
			require.NoError(t, err)
			text = string(b)
		}
		files[g.file] = strings.Replace(text, g.with, g.without, 1)
	}
	replace, args := map[string]string{}, []string{"build", "-overlay", filepath.Join(t.TempDir(), "overlay.json")}
	for name, text := range files {
		patched := filepath.Join(t.TempDir(), "patched.go")
		require.NoError(t, os.WriteFile(patched, []byte(text), 0o600))
		replace[filepath.Join(source, name)] = patched
		args = append(args, "./"+filepath.Dir(name))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(args[2], overlay, 0o600))
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Dir = source
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestRows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range rows() {
		require.False(t, seen[w.id], w.id)
		seen[w.id] = true
		require.NotNil(t, w.run, w.id)
		require.NotEmpty(t, w.expected, w.id)
	}
	_, err := config{rows: "F2,nothing"}.choose()
	require.ErrorContains(t, err, "nothing")
}

func TestFailpoints(t *testing.T) {
	t.Parallel()
	found, err := failpoints("../..")
	require.NoError(t, err)
	require.Subset(t, found, []string{"place.before_commit", "place.committed", "step.before_send", "step.sent"})
	for _, name := range found {
		require.False(t, strings.HasPrefix(name, "archive."), name)
	}

	dir := t.TempDir()
	write := func(name, body string) {
		source := "package x\nfunc f() { " + body + " }\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600))
	}
	write("a.go", `failpoint.Hit("one")`)
	write("b.go", `failpoint.Hit("one")`)
	_, err = failpoints(dir)
	require.ErrorContains(t, err, "one name")
	write("b.go", `failpoint.Hit(name)`)
	_, err = failpoints(dir)
	require.ErrorContains(t, err, "not a literal")
}

// TestSeed draws the same customers from the same seed.
func TestSeed(t *testing.T) {
	t.Parallel()
	draw := func(seed uint64) []script { return usual(50, 10).scripts(rand.New(rand.NewPCG(seed, 0))) }
	first := draw(1)
	require.Equal(t, first, draw(1))
	require.NotEqual(t, first, draw(2))
}

func TestLinearizable(t *testing.T) {
	t.Parallel()
	op := func(kind string, call, end int64, code int, status string, version int64) operation {
		return operation{
			Kind: kind, Order: "o", Call: call, Return: end, Code: code, answer: answer{Status: status, Version: version},
		}
	}
	place := op(opPlace, 0, 1, 202, "pending", 1)
	for _, c := range []struct {
		name    string
		history []operation
		holds   bool
	}{
		{"Plain", []operation{place, op(opRead, 2, 3, 200, "completed", 9)}, true},
		{"LostAnswerTookEffect", []operation{op(opPlace, 0, 1, 0, "", 0), op(opRead, 2, 3, 200, "completed", 9)}, true},
		{"ReadBeforePlacing", []operation{
			op(opRead, 0, 1, 200, "completed", 9), op(opPlace, 2, 3, 202, "pending", 1),
		}, false},
		{"CancelledAndCompleted", []operation{
			place, op(opCancel, 2, 3, 202, "processing", 3), op(opRead, 4, 5, 200, "completed", 9),
		}, false},
		{"LostCancellation", []operation{
			place, op(opCancel, 2, 3, 0, "", 0), op(opRead, 4, 5, 200, "completed", 9),
		}, true},
		{"VersionWentBack", []operation{
			place, op(opCancel, 2, 3, 202, "processing", 5), op(opRead, 4, 5, 200, "cancelled", 4),
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := checker{journal: &journal{all: c.history}}
			k.linearizable()
			require.Equal(t, c.holds, len(k.violations) == 0, strings.Join(k.violations, "\n"))
		})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "doc.md")
	require.NoError(t, os.WriteFile(path, []byte("before\n"+tableBegins+"old\n"+tableEnds+"between\n"+
		explainedBegins+"old\n"+explainedEnds+"after\n"), 0o600))
	r := report{Rows: []result{
		{ID: "F0", Violations: []string{"I1: lost"}, Explained: explained{Samples: 2000, True: 1999}},
		{ID: "F1", Skipped: "no clock"},
	}}
	require.NoError(t, r.publish(path))
	require.NoError(t, r.publish(path), "again")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(b)
	require.True(t, strings.HasPrefix(text, "before\n"))
	require.Contains(t, text, tableEnds+"between\n")
	require.True(t, strings.HasSuffix(text, explainedEnds+"after\n"))
	require.Contains(t, text, "| F0 | 1999 of 2000 (99.95 %) |")
	require.NotContains(t, text, "old")
	require.Contains(t, text, "violations: 1")
	require.Contains(t, text, "no clock")
}
