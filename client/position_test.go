package client

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPosition: the client sends the latest position back by itself, whatever the sequence of the answers.
func TestPosition(t *testing.T) {
	t.Parallel()
	const first, second, later = "00000000000000aa-0000000000000009", "00000000000000aa-0000000000000010",
		"00000000000000bb-0000000000000001"
	answers := []string{first, second, first, "", later, "primary", first, "any"}
	var mu sync.Mutex
	var sent []string
	c := misbehave(t, func(n int, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, r.Header.Get(headerPosition))
		if n <= len(answers) && answers[n-1] != "" {
			w.Header().Set(headerPosition, answers[n-1])
		}
		writeOrder(w)
	})
	for range answers {
		_, err := c.Place(t.Context(), someOrder())
		require.NoError(t, err)
	}
	_, err := c.Place(t.Context(), someOrder(), WithHeader(headerPosition, "mine"))
	require.NoError(t, err)
	require.Equal(t, []string{"", first, second, second, second, later, "primary", first, "mine"}, sent)
}
