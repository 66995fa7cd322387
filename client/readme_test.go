package client_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestREADME compares the README's program with the tested example.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(readme), "## From Go\n")
	require.True(t, found)
	_, after, _ = strings.Cut(after, "```go\n")
	program, _, _ := strings.Cut(after, "```")
	examples, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	require.Contains(t, strings.ReplaceAll(string(examples), "\n\t", "\n"), program)
}
