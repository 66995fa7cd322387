package baseline

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCents holds amounts exact: contenders are compared by the cent.
func TestCents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Cents{"29.99": 2999, "0.05": 5, "149.90": 14990} {
		var got Cents
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, want, got)
		encoded, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, text, string(encoded))
	}
	for _, text := range []string{"1.5", "1", "1.234", `"1.50"`} {
		require.Error(t, json.Unmarshal([]byte(text), new(Cents)), text)
	}
}
