package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func sampleResults() *results {
	r := &results{Command: "make bench", Rounds: 3, Seconds: 1}
	at64 := connectionsLabel(64)
	for _, v := range []float64{9000, 8000, 100_000} {
		r.add(intakeSection, millrace, at64, map[string]float64{rate: v, p99: v / 1000})
		r.add(intakeSection, millraceAlone, at64, map[string]float64{rate: v / 3, p99: v / 100})
	}
	return r
}

func TestMedian(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 2, (&series{Values: []float64{3, 1, 2}}).median(), 0)
	require.InDelta(t, 2.5, (&series{Values: []float64{4, 1, 2, 3}}).median(), 0)
}

// TestTable shows that one wild round moves the spread and not the figure.
func TestTable(t *testing.T) {
	t.Parallel()
	require.Equal(t, `| | | a second | p99 ms |
| --- | --- | ---: | ---: |
| Millrace | 64 connections | 9,000 (8,000–100,000) | 9.00 |
| Millrace, a transaction each | 64 connections | 3,000 (2,667–33,333) | 90.0 |
`, sampleResults().table(intakeSection))
}

func TestTargets(t *testing.T) {
	t.Parallel()
	table := sampleResults().targets()
	require.Contains(t, table, "64 connections, against a transaction each | at least 4.50 | 3.00 | **missed** |")
	require.Contains(t, table, "| its p99 | at most 0.33 | 0.10 | met |")
	require.NotContains(t, table, "DBOS", "what was not measured has no verdict")
}

// TestSmoke also shows that what was not measured fails.
func TestSmoke(t *testing.T) {
	t.Parallel()
	err := sampleResults().smoke()
	require.ErrorContains(t, err, "intake with one connection")
	require.NotContains(t, err.Error(), "intake with 64 connections, against a transaction each")
}

func TestPicture(t *testing.T) {
	t.Parallel()
	picture := sampleResults().picture()
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.Contains(t, picture, "64 connections")
	require.NotContains(t, picture, "Whole orders", "what was not measured has no chart")
}

// TestDocument replaces the results of an earlier run, and nothing else.
func TestDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "performance.md")
	require.ErrorIs(t, sampleResults().document(dir), os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("# Performance\n"), 0o600))
	require.ErrorIs(t, sampleResults().document(dir), errNoBlock)

	page := "before\n<!-- bench: results -->\nold\n<!-- bench: end of results -->\nafter\n"
	require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	for range 2 {
		require.NoError(t, sampleResults().document(dir))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(content), "### Targets"))
		require.NotContains(t, string(content), "old")
		require.True(t, strings.HasPrefix(string(content), "before\n") && strings.HasSuffix(string(content), "\nafter\n"))
	}
}
