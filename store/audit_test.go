package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	s := storetest.New(t, storetest.Tx(t))
	require.NoError(t, s.Audit.Write(t.Context(), []store.AuditEntry{
		{Actor: store.Actor{Name: "a", Role: roles.Operator}, Action: "POST", Target: "/x"},
		// What strangers can make: it is bounded and harmless, and the entry is not lost.
		{
			Actor:  store.Actor{Name: strings.Repeat("é", 300), RequestID: strings.Repeat("r", 100)},
			Action: strings.Repeat("A", 200), Target: "a\x00b\x1b[2J\xff\n" + strings.Repeat("é", 300),
			Detail: map[string]any{"body": []int{1, 2}},
		},
	}))
	log, err := s.Audit.List(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, log, 2)
	require.Greater(t, log[0].ID, log[1].ID, "newest first")
	require.Len(t, []rune(log[0].Target), 200)
	require.True(t, strings.HasPrefix(log[0].Target, "a�b�[2J��é"), "%q", log[0].Target)
	require.Equal(t, map[string]any{"body": []any{1.0, 2.0}}, log[0].Detail)
	require.Equal(t, "/x", log[1].Target)
	require.Equal(t, roles.Operator, log[1].Role)
	log, err = s.Audit.List(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, log, 1)
}

func TestAuditText(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"a\u202eb":["é\u200b","\ud83d\ude00\n 1"]}`, //nolint:testifylint // the escapes are what counts
		strings.ReplaceAll(store.AuditText(map[string]any{"a\u202eb": []string{"é\u200b", "😀\n 1"}}), "😀", `\ud83d\ude00`))
	require.Equal(t, `"\udb40\udc41"`, store.AuditText("\U000e0041"), "an invisible character beyond 16 bits")
}

// What is in the log stays there, as it is, also when a statement matches no row.
func TestAuditIsAppendOnly(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		`UPDATE audit_log SET actor = 'another'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`,
		`DELETE FROM audit_log WHERE false`,
	} {
		tx := storetest.Tx(t)
		entry := store.AuditEntry{Actor: store.Actor{Name: "a"}, Action: "b"}
		require.NoError(t, storetest.New(t, tx).Audit.Write(t.Context(), []store.AuditEntry{entry}))
		_, err := tx.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "audit_log is append-only", sql)
	}
}
