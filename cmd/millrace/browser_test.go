//go:build browser

package main

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestBrowser looks at the pages as a person does: with their scripts, under their content security policy.
func TestBrowser(t *testing.T) {
	t.Parallel()
	m := startDev(t, "--data", dataDir(t))
	placed := m.place(seedOrder)
	m.await(placed.OrderID, "completed")

	for url, want := range map[string][]string{
		m.api + "/docs/":                        {"Millrace", "Place an order", "/api/orders/{id}/events"},
		m.ops + "/riverui/jobs?state=completed": {"capture_payment", placed.OrderID},
		m.ops + "/riverui/queues":               {"payment", "inventory", "shipping", "email"},
	} {
		page := render(t, url)
		for _, text := range want {
			require.Contains(t, page, text, url)
		}
	}
}

// render loads a page in a headless Chromium and returns its document once the scripts have had time to build it.
func render(t *testing.T, url string) string {
	t.Helper()
	var chromium string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
			break
		}
	}
	require.NotEmpty(t, chromium, "no Chromium: make test-browser installs one")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	page, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=8000", "--dump-dom", url).Output()
	require.NoError(t, err)
	return string(page)
}
