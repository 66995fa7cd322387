package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// TestDiagnoses judges servers that the tests do not have.
func TestDiagnoses(t *testing.T) {
	t.Parallel()
	good := dbsqlc.DoctorServerRow{
		Version: 180004, Product: "PostgreSQL 18.4 on x86_64-pc-linux-gnu", Connections: 97,
		Fsync: "on", FullPageWrites: "on", SynchronousCommit: "on", SynchronousStandbyNames: "ANY 1 (a, b)",
		Synchronous: 1, Autovacuum: "on", ReadsStats: true,
	}
	type server = dbsqlc.DoctorServerRow
	room := func(needed int) func(server) Diagnosis {
		return func(s server) Diagnosis { return capacity(s, needed) }
	}
	for name, tt := range map[string]struct {
		change func(*server)
		check  func(server) Diagnosis
		want   DiagnosisState
	}{
		"good":              {func(*server) {}, version, DiagnosisOK},
		"old":               {func(s *server) { s.Version = 140012 }, version, DiagnosisFailed},
		"new":               {func(s *server) { s.Version = 190000 }, version, DiagnosisWarning},
		"standby":           {func(s *server) { s.Standby = true }, version, DiagnosisFailed},
		"Citus":             {func(s *server) { s.Citus = true }, version, DiagnosisWarning},
		"Yugabyte":          {func(s *server) { s.Product = "PostgreSQL 15.2-YB-2.25 on x" }, version, DiagnosisFailed},
		"durable":           {func(*server) {}, durability, DiagnosisOK},
		"fsync":             {func(s *server) { s.Fsync = "off" }, durability, DiagnosisFailed},
		"torn pages":        {func(s *server) { s.FullPageWrites = "off" }, durability, DiagnosisFailed},
		"asynchronous":      {func(s *server) { s.SynchronousCommit = "off" }, durability, DiagnosisFailed},
		"replicated":        {func(*server) {}, replication, DiagnosisOK},
		"alone":             {func(s *server) { s.SynchronousStandbyNames = "" }, replication, DiagnosisWarning},
		"standby is gone":   {func(s *server) { s.Synchronous = 0 }, replication, DiagnosisFailed},
		"not asked":         {func(s *server) { s.SynchronousCommit = "local" }, replication, DiagnosisWarning},
		"vacuumed":          {func(*server) {}, upkeepOf, DiagnosisOK},
		"never vacuumed":    {func(s *server) { s.Autovacuum = "off" }, upkeepOf, DiagnosisFailed},
		"room":              {func(*server) {}, room(48), DiagnosisOK},
		"hardly any room":   {func(*server) {}, room(96), DiagnosisWarning},
		"no room for three": {func(*server) {}, room(144), DiagnosisFailed},
	} {
		changed := good
		tt.change(&changed)
		got := tt.check(changed)
		require.Equal(t, tt.want, got.State, "%s: %s", name, got.Details)
		require.Equal(t, tt.want == DiagnosisOK, got.Do == "", name)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	require.Equal(t, DiagnosisOK, clockOf(now, now.Add(-time.Second), now.Add(2*time.Second)).State)
	require.Equal(t, DiagnosisFailed, clockOf(now, now.Add(3*time.Second), now.Add(3*time.Second)).State)
	require.Equal(t, DiagnosisFailed, clockOf(now, now.Add(-3*time.Second), now.Add(-3*time.Second)).State)
}
