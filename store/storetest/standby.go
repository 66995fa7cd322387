package storetest

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/sandbox/postgres"
	"github.com/millrace-orders/millrace/store"
)

// Pair is a migrated primary of a test's own, with a standby that streams from it.
type Pair struct {
	Primary, Standby *postgres.Server

	standby postgres.Config
}

// NewPair starts a primary and a standby.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	config := serverConfig(t)
	primary := startServer(t, config)
	pool, err := store.NewMigrationPool(t.Context(), primary.DSN("postgres"))
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	p := &Pair{Primary: primary}
	p.standby, p.Standby = p.AddStandby(t)
	return p
}

// AddStandby starts another standby.
func (p *Pair) AddStandby(t testing.TB) (postgres.Config, *postgres.Server) {
	t.Helper()
	config := serverConfig(t)
	dsn, err := url.Parse(p.Primary.DSN("postgres"))
	require.NoError(t, err)
	require.NoError(t, p.Primary.Clone(t.Context(), config.Dir,
		"user="+postgres.User+" host="+dsn.Query().Get("host")+" port="+dsn.Query().Get("port")))
	return config, startServer(t, config)
}

func startServer(t testing.TB, config postgres.Config) *postgres.Server {
	t.Helper()
	s, err := postgres.Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return s
}

func serverConfig(t testing.TB) postgres.Config {
	t.Helper()
	return postgres.Config{
		Dir: Dir(t), Fetch: true, Cache: postgres.DefaultDir("millrace-postgres"), Tools: []string{"pg_basebackup"},
		Settings: map[string]string{"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"},
		Logger:   slog.New(slog.DiscardHandler),
	}
}

// PauseReplay has the standby replay nothing more, until ResumeReplay.
func (p *Pair) PauseReplay(t testing.TB) {
	t.Helper()
	Execute(t, p.Standby, "SELECT pg_wal_replay_pause()")
	require.Eventually(t, func() bool { // a pause is only asked for
		return Query(t, p.Standby, "SELECT pg_get_wal_replay_pause_state()") == "paused"
	}, time.Minute, 10*time.Millisecond)
}

// ResumeReplay ends PauseReplay.
func (p *Pair) ResumeReplay(t testing.TB) {
	t.Helper()
	Execute(t, p.Standby, "SELECT pg_wal_replay_resume()")
}

// StopStandby stops the standby. RestartStandby starts it again.
func (p *Pair) StopStandby(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Standby.Stop(context.Background()))
}

// RestartStandby starts the standby that was stopped.
func (p *Pair) RestartStandby(t testing.TB) {
	t.Helper()
	p.Standby = startServer(t, p.standby)
}

// Execute runs a statement as the superuser of a server.
func Execute(t testing.TB, s *postgres.Server, sql string) {
	t.Helper()
	_ = Query(t, s, sql)
}

// Query returns the first value of a statement as text, run as the superuser of a server.
func Query(t testing.TB, s *postgres.Server, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	require.NoError(t, err)
	if last := results[len(results)-1]; len(last.Rows) > 0 {
		return string(last.Rows[0][0])
	}
	return ""
}

// StopPrimary stops the primary for good.
func (p *Pair) StopPrimary(t testing.TB) {
	t.Helper()
	require.NoError(t, p.Primary.Stop(context.Background()))
}
