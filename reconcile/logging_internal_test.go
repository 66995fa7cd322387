package reconcile

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

func TestFindingsAreLoggedByKind(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := New(Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	var found []store.Finding
	for range 300 {
		found = append(found, store.Finding{Kind: orders.FindingUnknownOrder, Key: "k"},
			store.Finding{Kind: orders.FindingLate, Key: "l"})
	}
	r.reportFindings(t.Context(), orders.Payment, found)
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `provider=payment kind=unknown_order count=300 keys="[k k k k k]"`)
}
