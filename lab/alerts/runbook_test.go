package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRunbook finds a section for each alert, with what a person who was woken needs, and commands that exist.
func TestRunbook(t *testing.T) {
	t.Parallel()
	sections, err := readRunbook("../../docs/runbook.md")
	require.NoError(t, err)
	api, err := os.ReadFile("../../api/openapi.yaml")
	require.NoError(t, err)
	run := exec.CommandContext(t.Context(), "go", "run", "./cmd/millrace", "--help")
	run.Dir = "../.."
	help, err := run.Output()
	require.NoError(t, err)
	headings := []string{"Slow processing", "Memory growth", "Database timeouts"}
	for _, a := range rulesOf(t).alerts() {
		headings = append(headings, a.Alert)
		for _, part := range []string{
			"**Customers feel:**", "**Us or a provider:**", "**Look:**", "**Stop the bleeding:**", "**It ends when:**",
			a.Labels["severity"],
		} {
			require.Contains(t, sections[a.Alert].text, part, a.Alert)
		}
	}
	for _, heading := range headings {
		commands := sections[heading].commands()
		require.Len(t, commands, 3, heading)
		for _, command := range commands {
			exists(t, command, string(api), string(help))
		}
	}
}

var (
	apiPath = regexp.MustCompile(`\$MILLRACE(/[a-z/-]+)`)
	opsPath = regexp.MustCompile(`\$OPS(/[a-z/]+)`)
	cliCall = regexp.MustCompile(`^millrace ([a-z]+(?: [a-z]+)?)`)
)

// exists checks that a command calls an operation of the API, a page of the operations address, a command of Millrace,
// or a program of the system.
func exists(t *testing.T, command, api, help string) {
	t.Helper()
	switch {
	case apiPath.MatchString(command):
		require.Contains(t, api, "\n  "+apiPath.FindStringSubmatch(command)[1]+":\n", command)
	case opsPath.MatchString(command):
		require.Contains(t, []string{"/metrics", "/debug/pprof/heap"}, opsPath.FindStringSubmatch(command)[1], command)
	case cliCall.MatchString(command):
		require.Regexp(t, `(?m)^  `+cliCall.FindStringSubmatch(command)[1]+` `, help, command)
	default:
		require.True(t, strings.HasPrefix(command, `psql "$DATABASE_URL" -Atc "`) || command == "date -u", command)
	}
}
