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
		Version: 180004, Product: "PostgreSQL 18.4 on x86_64-pc-linux-gnu", Connections: 97, Fsync: "on", FullPageWrites: "on",
		SynchronousCommit: "on", SynchronousStandbyNames: "ANY 1 (a, b)", Synchronous: 1, Autovacuum: "on", ReadsStats: true,
	}
	for name, tt := range map[string]struct {
		change func(*dbsqlc.DoctorServerRow)
		check  func(dbsqlc.DoctorServerRow) Diagnosis
		want   DiagnosisState
	}{
		"good":              {func(*dbsqlc.DoctorServerRow) {}, version, DiagnosisOK},
		"old":               {func(s *dbsqlc.DoctorServerRow) { s.Version = 140012 }, version, DiagnosisFailed},
		"new":               {func(s *dbsqlc.DoctorServerRow) { s.Version = 190000 }, version, DiagnosisWarning},
		"standby":           {func(s *dbsqlc.DoctorServerRow) { s.Standby = true }, version, DiagnosisFailed},
		"Citus":             {func(s *dbsqlc.DoctorServerRow) { s.Citus = true }, version, DiagnosisWarning},
		"Yugabyte":          {func(s *dbsqlc.DoctorServerRow) { s.Product = "PostgreSQL 15.2-YB-2.25 on x" }, version, DiagnosisFailed},
		"durable":           {func(*dbsqlc.DoctorServerRow) {}, durability, DiagnosisOK},
		"fsync":             {func(s *dbsqlc.DoctorServerRow) { s.Fsync = "off" }, durability, DiagnosisFailed},
		"torn pages":        {func(s *dbsqlc.DoctorServerRow) { s.FullPageWrites = "off" }, durability, DiagnosisFailed},
		"asynchronous":      {func(s *dbsqlc.DoctorServerRow) { s.SynchronousCommit = "off" }, durability, DiagnosisFailed},
		"replicated":        {func(*dbsqlc.DoctorServerRow) {}, replication, DiagnosisOK},
		"alone":             {func(s *dbsqlc.DoctorServerRow) { s.SynchronousStandbyNames = "" }, replication, DiagnosisWarning},
		"standby is gone":   {func(s *dbsqlc.DoctorServerRow) { s.Synchronous = 0 }, replication, DiagnosisFailed},
		"not asked":         {func(s *dbsqlc.DoctorServerRow) { s.SynchronousCommit = "local" }, replication, DiagnosisWarning},
		"vacuumed":          {func(*dbsqlc.DoctorServerRow) {}, upkeepOf, DiagnosisOK},
		"never vacuumed":    {func(s *dbsqlc.DoctorServerRow) { s.Autovacuum = "off" }, upkeepOf, DiagnosisFailed},
		"room":              {func(*dbsqlc.DoctorServerRow) {}, func(s dbsqlc.DoctorServerRow) Diagnosis { return capacity(s, 48) }, DiagnosisOK},
		"hardly any room":   {func(*dbsqlc.DoctorServerRow) {}, func(s dbsqlc.DoctorServerRow) Diagnosis { return capacity(s, 96) }, DiagnosisWarning},
		"no room for three": {func(*dbsqlc.DoctorServerRow) {}, func(s dbsqlc.DoctorServerRow) Diagnosis { return capacity(s, 144) }, DiagnosisFailed},
	} {
		server := good
		tt.change(&server)
		got := tt.check(server)
		require.Equal(t, tt.want, got.State, "%s: %s", name, got.Details)
		require.Equal(t, tt.want == DiagnosisOK, got.Do == "", name)
	}
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	require.Equal(t, DiagnosisOK, clockOf(now, now.Add(-time.Second), now.Add(2*time.Second)).State)
	require.Equal(t, DiagnosisFailed, clockOf(now, now.Add(3*time.Second), now.Add(3*time.Second)).State)
	require.Equal(t, DiagnosisFailed, clockOf(now, now.Add(-3*time.Second), now.Add(-3*time.Second)).State)
}
