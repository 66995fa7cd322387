package board_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// mostBytes is what a browser loads for the board at most: the page and all that it names.
const mostBytes = 300 << 10

// TestBudget loads the board as a browser does, from its own address alone.
func TestBudget(t *testing.T) {
	t.Parallel()
	d := open(t, storetest.Tx(t), true)
	overview := d.get(t, "/board/")
	size := len(overview.body)
	found := regexp.MustCompile(`(?:src|href)="(/board/assets/[^"]+)"`).FindAllStringSubmatch(overview.body, -1)
	require.Len(t, found, 6)
	for _, match := range found {
		got := d.get(t, match[1])
		require.Equal(t, http.StatusOK, got.status, match[1])
		require.Contains(t, got.header.Get("Cache-Control"), "immutable", match[1])
		size += len(got.body)
	}
	require.Less(t, size, mostBytes)
	require.NotRegexp(t, `(src|href|action)="(https?:)?//`, overview.body, "nothing comes from another site")
	require.NotContains(t, d.get(t, "/board/assets/board.css?v=old").header.Get("Cache-Control"), "immutable")
	require.Equal(t, http.StatusNotFound, d.get(t, "/board/assets/x").status)
	require.Equal(t, http.StatusOK, d.get(t, "/board/assets/htmx.LICENSE").status)
	require.Equal(t, http.StatusOK, d.get(t, "/board/assets/uPlot.LICENSE").status)
}

// TestVendored: the files of npm are as npm has them. `make board-assets` fetches them again.
func TestVendored(t *testing.T) {
	t.Parallel()
	sums, err := os.ReadFile("npm/SHA256SUMS")
	require.NoError(t, err)
	listed := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		require.True(t, ok, line)
		listed[name] = sum
	}
	files, err := os.ReadDir("npm")
	require.NoError(t, err)
	require.Len(t, files, len(listed)+1)
	for name, sum := range listed {
		content, err := os.ReadFile("npm/" + name)
		require.NoError(t, err)
		actual := sha256.Sum256(content)
		require.Equal(t, sum, hex.EncodeToString(actual[:]), name)
	}
}
