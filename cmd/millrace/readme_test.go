package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

var (
	consoles = regexp.MustCompile("(?s)```console\n(.*?)```")
	// A command begins with a dollar sign, and goes on after a backslash or within quotes.
	curlCommands = regexp.MustCompile(`(?m)^\$ (curl (?:'[^']*'|\\\n|[^'\n])*)`)
)

// TestReadme runs every curl line of the README, in their order, against a fresh dev.
func TestReadme(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	m := startDev(t, "--data", storetest.Dir(t))
	addresses := strings.NewReplacer("http://127.0.0.1:8080", m.api, "http://127.0.0.1:8081", m.ops,
		"http://127.0.0.1:8082", m.simulators)
	var commands, id string
	for _, console := range consoles.FindAllStringSubmatch(string(readme), -1) {
		for _, command := range curlCommands.FindAllStringSubmatch(console[1], -1) {
			commands += command[1] + "\n"
			run := exec.CommandContext(t.Context(), "sh", "-c",
				addresses.Replace(strings.Replace(command[1], "curl", "curl -sS --fail-with-body", 1)))
			run.Env = append(os.Environ(), "ID="+id)
			out, err := run.CombinedOutput()
			require.NoError(t, err, "%s\n%s", command[1], out)
			if id == "" {
				_, body, _ := strings.Cut(string(out), "\r\n\r\n")
				var placed order
				require.NoError(t, json.Unmarshal([]byte(body), &placed), string(out))
				id = placed.OrderID
			}
		}
	}
	require.GreaterOrEqual(t, strings.Count(commands, "curl "), 8, commands)

	var inventory struct {
		Products []struct {
			ProductID int64
			Price     json.Number
		}
	}
	require.NoError(t, json.Unmarshal(stock(t, m.simulators), &inventory))
	require.Contains(t, string(readme), `"productId": 1, "quantity": 2, "price": `+inventory.Products[0].Price.String())
	require.Contains(t, string(readme), `"productId": 2, "quantity": 1, "price": `+inventory.Products[1].Price.String())
	require.NoError(t, m.stop())
}

func stock(t *testing.T, simulators string) []byte {
	t.Helper()
	_, _, body := do(t, "GET", simulators+"/inventory/stock", "")
	return body
}
