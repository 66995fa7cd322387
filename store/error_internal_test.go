package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The severity of an error is in the language of lc_messages, but for a second field.
func TestSeverityInItalian(t *testing.T) {
	t.Parallel()
	err := classify(fmt.Errorf("commit: %w", &pgconn.PgError{
		Severity: "FATALE", SeverityUnlocalized: "FATAL", Code: "57P01", Message: "interruzione della connessione",
	}))
	require.ErrorIs(t, err, ErrUnavailable)
	require.True(t, isCutOff(err))
	require.False(t, isCutOff(classify(&pgconn.PgError{Severity: "FATAL", SeverityUnlocalized: "ERROR", Code: "57014"})))
}

// TestEndedSession: whatever the code, a server that ends a session says nothing about the request. Its COMMIT may have
// gone through, so the calls of a batch must not be done again one by one, under other ids.
func TestEndedSession(t *testing.T) {
	t.Parallel()
	for _, severity := range []string{"FATAL", "PANIC"} {
		err := classify(fmt.Errorf("commit: %w", &pgconn.PgError{
			Severity: "FATALE", SeverityUnlocalized: severity, Code: "XX000",
		}))
		require.ErrorIs(t, err, ErrUnavailable, severity)
		require.True(t, isCutOff(err), severity)
		require.False(t, mayBeOneMember(err), severity)
	}
	require.NotErrorIs(t, classify(&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "XX000"}), ErrUnavailable)
}

// If a server rejects a login, the request that needed the connection is not at fault.
func TestRejectedLoginIsAnOutage(t *testing.T) {
	t.Parallel()
	pool, err := NewPool(t.Context(), "postgres://127.0.0.1:1/none", "test", 1)
	require.NoError(t, err)
	defer pool.Close()
	_, err = pool.Exec(t.Context(), "SELECT 1")
	connect, ok := errors.AsType[*pgconn.ConnectError](err)
	require.True(t, ok)
	for _, code := range []string{"28P01", "28000", "3D000", "53300", "57P03", "42501", "42704"} {
		require.ErrorIs(t, classify(errors.Join(&pgconn.PgError{Code: code}, connect)), ErrUnavailable, code)
	}
}
