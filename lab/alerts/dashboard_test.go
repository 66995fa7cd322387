package main

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// dashboard is Grafana's JSON, as far as it is looked at here.
type dashboard struct {
	Panels []struct {
		Title   string
		Type    string
		Targets []struct{ Expr string }
	}
	Annotations struct{ List []struct{ Expr string } }
}

// expressions returns the dashboard's expressions, with a value for each of Grafana's variables.
func (d dashboard) expressions() (list []string) {
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			list = append(list, target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		list = append(list, a.Expr)
	}
	for i, expr := range list {
		list[i] = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$provider", ".*").Replace(expr)
	}
	return list
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	content, err := os.ReadFile("../../deploy/grafana/millrace.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &d))
	return d
}

func TestDashboardRows(t *testing.T) {
	t.Parallel()
	var rows []string
	for _, p := range readDashboard(t).Panels {
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		require.NotEmpty(t, p.Targets, p.Title)
	}
	require.Equal(t, []string{"Intake", "Saga by provider", "Database and workers", "Webhooks and streams"}, rows)
}

// TestMetricsExist starts a deployment, and finds each metric of the dashboard and of the rules on its /metrics.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "millrace-alerts-") //nolint:usetesting // t.TempDir is closed to other users
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, err := build(t.Context(), dir, "test")
	require.NoError(t, err)
	d, err := deploy(t.Context(), binary, dir)
	require.NoError(t, err)
	t.Cleanup(d.stop)
	for _, method := range []string{"card_visa", "card_declined"} { // an order that ends well, and a refusal
		order := newOrder(method)
		require.NoError(t, d.ask(t.Context(), http.MethodPost, d.api.url("/api/orders"), order, nil, "Prefer", "wait=20"))
	}
	require.NoError(t, d.pause(t.Context(), "payment", true)) // a job that could run, and waits

	rules := rulesOf(t)
	recorded := map[string]bool{"up": true, "ALERTS": true}
	expressions := readDashboard(t).expressions()
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			recorded[r.Record] = true
			expressions = append(expressions, r.Expr)
		}
	}
	wanted := map[string]string{}
	for _, text := range expressions {
		expr, err := parse(text)
		require.NoError(t, err, text)
		for _, name := range metricsOf(expr) {
			if !recorded[name] {
				wanted[name] = text
			}
		}
	}
	var missing []string
	require.True(t, launch.Eventually(t.Context(), time.Minute, func() bool {
		// Carrying jobs learn of the pause up to a second late.
		require.NoError(t, d.ask(t.Context(), http.MethodPost, d.api.url("/api/orders"), newOrder("card_visa"), nil))
		shown := map[string]bool{}
		for _, n := range []*node{d.api, d.work} {
			for _, name := range scrape(t, d, n) {
				shown[name] = true
			}
		}
		missing = nil
		for name, text := range wanted {
			if !shown[name] {
				missing = append(missing, name+" in "+text)
			}
		}
		return len(missing) == 0
	}), "not on /metrics: %v", &missing)
}

var sample = regexp.MustCompile(`(?m)^[a-z_]+`)

// scrape returns the names of the series that a process shows.
func scrape(t *testing.T, d *deployment, n *node) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.opsURL("/metrics"), nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+d.key)
	response, err := d.client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var text strings.Builder
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NoError(t, response.Write(&text))
	return sample.FindAllString(text.String(), -1)
}
