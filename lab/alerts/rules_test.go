package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const (
	prometheusDir = "../../deploy/prometheus"
	rulesPath     = prometheusDir + "/millrace.rules.yaml"
	casesPath     = prometheusDir + "/millrace.rules.test.yaml"
	runbookURL    = "https://github.com/millrace-orders/millrace/blob/main/docs/runbook.md#"
)

func rulesOf(t *testing.T) rulesFile {
	t.Helper()
	rules, err := readRules(rulesPath)
	require.NoError(t, err)
	return rules
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, a := range rulesOf(t).alerts() {
		require.False(t, names[a.Alert], "%s is there twice", a.Alert)
		names[a.Alert] = true
		require.Contains(t, []string{"page", "ticket"}, a.Labels["severity"], a.Alert)
		require.NotEmpty(t, a.Annotations["summary"], a.Alert)
		require.Equal(t, runbookURL+strings.ToLower(a.Alert), a.Annotations["runbook_url"])
	}
	require.NotEmpty(t, names)
}

// TestMetricsAreDocumented finds each metric of the rules in docs/metrics.md, or among the rules.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	rules := rulesOf(t)
	recorded := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			recorded[r.Record] = true
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			expr, err := parse(r.Expr)
			require.NoError(t, err, r.Alert)
			for _, name := range metricsOf(expr) {
				if recorded[name] || name == "up" || strings.HasPrefix(name, "process_") {
					continue
				}
				require.Contains(t, string(doc), "| `"+family(name)+"` |", "%s%s", r.Record, r.Alert)
			}
		}
	}
}

// family returns the name of the metric that a series belongs to.
func family(series string) string {
	return regexp.MustCompile(`_seconds_(bucket|count|sum)$`).ReplaceAllString(series, "_seconds")
}

// cases is a file of tests for promtool, as far as it is looked at here.
type cases struct {
	RuleFiles []string `yaml:"rule_files"`
	Interval  string   `yaml:"evaluation_interval"`
	Tests     []struct {
		Name     string           `yaml:"name"`
		Interval string           `yaml:"interval"`
		Series   []map[string]any `yaml:"input_series"`
		Alerts   []struct {
			At       string           `yaml:"eval_time"`
			Alert    string           `yaml:"alertname"`
			Expected []map[string]any `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func TestEachAlertHasCases(t *testing.T) {
	t.Parallel()
	var all cases
	require.NoError(t, readYAML(casesPath, &all))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, c := range all.Tests {
		require.NotEmpty(t, c.Series, c.Name)
		for _, a := range c.Alerts {
			if len(a.Expected) > 0 {
				fires[a.Alert] = true
			} else {
				silent[a.Alert] = true
			}
		}
	}
	for _, a := range rulesOf(t).alerts() {
		require.True(t, fires[a.Alert], "no case has %s fire", a.Alert)
		require.True(t, silent[a.Alert], "no case has %s be silent", a.Alert)
	}
}

func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool: make test-alerts installs it")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

// TestPromtool has Prometheus's own tool check the files, and run the cases. Without any one alert, they fail.
func TestPromtool(t *testing.T) {
	t.Parallel()
	out, err := promtool(t, "check", "rules", rulesPath)
	require.NoError(t, err, out)
	out, err = promtool(t, "test", "rules", casesPath)
	require.NoError(t, err, out)

	dir := t.TempDir()
	for _, name := range []string{"prometheus.yaml", "millrace.rules.yaml", "millrace.rules.test.yaml"} {
		content, err := os.ReadFile(filepath.Join(prometheusDir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "millrace.key"), []byte("mr_"), 0o600))
	out, err = promtool(t, "check", "config", filepath.Join(dir, "prometheus.yaml"))
	require.NoError(t, err, out)

	// The cases in which each fires, alone: promtool takes a tenth of a second for a case.
	var all cases
	require.NoError(t, readYAML(casesPath, &all))
	rules := rulesOf(t)
	for _, a := range rules.alerts() {
		own := all
		own.Tests = nil
		for _, c := range all.Tests {
			if c.Alerts[0].Alert == a.Alert && len(c.Alerts[0].Expected) > 0 {
				own.Tests = append(own.Tests, c)
			}
		}
		content, err := yaml.Marshal(own)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "millrace.rules.test.yaml"), content, 0o600))
		require.NoError(t, rules.without(a.Alert).write(filepath.Join(dir, "millrace.rules.yaml")))
		out, err = promtool(t, "test", "rules", filepath.Join(dir, "millrace.rules.test.yaml"))
		require.Error(t, err, "the cases pass without %s", a.Alert)
		require.Contains(t, out, a.Alert)
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`sum(rate(a[5m])) > 0.05`:                             `sum(rate(a[3s])) > 0.05`,
		`time() - max(b_timestamp_seconds) > 300`:             `time() - max(b_timestamp_seconds) > 2.5`,
		`max(c_oldest_unfinished_age_seconds) > 3600`:         `max(c_oldest_unfinished_age_seconds) > 30`,
		`max(d_behind_seconds) > 10`:                          `max(d_behind_seconds) > 10`,
		`max(e_bytes) > 1e9`:                                  `max(e_bytes) > 1000000000`,
		`max(h_age_transactions) > 1e9`:                       `max(h_age_transactions) > 1000000`,
		`max by (p) (max_over_time(f[1h])) == 2 or absent(g)`: `max by (p) (max_over_time(f[30s])) == 2 or absent(g)`,
	} {
		scaled, err := scaleExpr(expr, 120)
		require.NoError(t, err)
		require.Equal(t, want, scaled)
	}
	scaled, err := rulesOf(t).scale(120)
	require.NoError(t, err)
	require.Len(t, scaled.alerts(), len(rulesOf(t).alerts()))
	for _, a := range scaled.alerts() {
		require.NotContains(t, a.For, "m0", a.Alert)
	}
}
