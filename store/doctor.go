package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// DiagnosisState is how a check of Diagnose ended.
type DiagnosisState string

// The states of a check.
const (
	DiagnosisOK      DiagnosisState = "ok"
	DiagnosisWarning DiagnosisState = "warning" // it works, and something is lost
	DiagnosisFailed  DiagnosisState = "failed"  // it does not work, or loses orders
)

// Diagnosis is the result of one check before a deployment goes live.
type Diagnosis struct {
	Check   string         `json:"check"`
	State   DiagnosisState `json:"state"`
	Details string         `json:"details"`
	Do      string         `json:"do,omitempty"`
}

const (
	doctorPool        = "doctor"
	doctorConnections = 3
	oldestServer      = 15
	newestServer      = 18
	hearWithin        = 2 * time.Second
)

// Diagnose checks a database. connections is how many the deployment will hold. It writes nothing. An error means that
// the database could not be examined.
func Diagnose(ctx context.Context, url string, connections int, wall func() time.Time) ([]Diagnosis, error) {
	pool, err := NewPool(ctx, url, doctorPool, doctorConnections)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	queries := dbsqlc.New()
	begun := wall()
	server, err := queries.DoctorServer(ctx, pool)
	if setting, ok := errors.AsType[*SettingError](err); ok {
		return []Diagnosis{{"settings", DiagnosisFailed, setting.Error(), "Change that setting."}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's settings: %w", classify(err))
	}
	all := []Diagnosis{
		version(server), capacity(server, connections), durability(server), replication(server), upkeepOf(server),
		clockOf(server.At, begun, wall()),
	}
	for _, check := range []func(context.Context, *pgxpool.Pool, *dbsqlc.Queries) (Diagnosis, error){
		schemaOf, poolerOf, listening,
	} {
		d, err := check(ctx, pool, queries)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	rights, err := rightsOf(ctx, pool, queries, server)
	if err != nil || server.Standby { // a standby gives no transaction an id
		return append(all, rights), err
	}
	has, err := featuresOf(ctx, pool, queries)
	return append(append(all, rights), has...), err
}

func ok(check, format string, args ...any) Diagnosis {
	return Diagnosis{Check: check, State: DiagnosisOK, Details: fmt.Sprintf(format, args...)}
}

func version(s dbsqlc.DoctorServerRow) Diagnosis {
	major := int(s.Version / 10000)
	product, _, _ := strings.Cut(s.Product, " on ")
	for _, other := range []string{"YugabyteDB", "-YB-", "CockroachDB", "Redshift", "Greenplum"} {
		if strings.Contains(s.Product, other) {
			return Diagnosis{"version", DiagnosisFailed, product, "Millrace is tested with PostgreSQL 15 to 18 only."}
		}
	}
	switch {
	case s.Standby:
		return Diagnosis{"version", DiagnosisFailed, product + ", a standby", "Name the primary in DATABASE_URL."}
	case major < oldestServer:
		return Diagnosis{"version", DiagnosisFailed, product, "Upgrade Postgres: Millrace needs 15 or newer."}
	case major > newestServer:
		return Diagnosis{"version", DiagnosisWarning, product, "Millrace was tested with PostgreSQL 15 to 18."}
	case s.Citus:
		return Diagnosis{
			"version", DiagnosisWarning, product + " with Citus",
			"Leave Millrace's tables undistributed: its transactions span all of them.",
		}
	}
	return ok("version", "%s", product)
}

func capacity(s dbsqlc.DoctorServerRow, needed int) Diagnosis {
	details := fmt.Sprintf("the deployment holds up to %d connections, the server has %d", needed, s.Connections)
	const do = "Raise max_connections, lower --api-connections and --work-connections, or run fewer processes."
	switch have := int(s.Connections); {
	case needed > have:
		return Diagnosis{"connections", DiagnosisFailed, details, do}
	case needed*10 > have*9: // backups, migrations and people need some
		return Diagnosis{"connections", DiagnosisWarning, details, do}
	}
	return ok("connections", "%s", details)
}

func durability(s dbsqlc.DoctorServerRow) Diagnosis {
	details := fmt.Sprintf("fsync=%s, full_page_writes=%s, synchronous_commit=%s", s.Fsync, s.FullPageWrites,
		s.SynchronousCommit)
	if s.Fsync != "on" || s.FullPageWrites != "on" || s.SynchronousCommit == "off" {
		return Diagnosis{
			"durability", DiagnosisFailed, details,
			"A crash loses orders that were answered 202: set all three on.",
		}
	}
	return ok("durability", "%s", details)
}

func replication(s dbsqlc.DoctorServerRow) Diagnosis {
	switch named := s.SynchronousStandbyNames != "" && s.SynchronousCommit != "local"; {
	case !named:
		return Diagnosis{
			"replication", DiagnosisWarning, "no standby confirms commits",
			"A failover may lose orders that were answered 202: see docs/operations.md.",
		}
	case s.Synchronous == 0 && s.ReadsStats:
		return Diagnosis{
			"replication", DiagnosisFailed, "synchronous_standby_names is set and no such standby is connected",
			"Every commit waits: start a standby, or remove it from synchronous_standby_names.",
		}
	}
	return ok("replication", "%d synchronous standbys", s.Synchronous)
}

func upkeepOf(s dbsqlc.DoctorServerRow) Diagnosis {
	if s.Autovacuum != "on" {
		return Diagnosis{
			"autovacuum", DiagnosisFailed, "autovacuum is off", "Set it on: the queue's table bloats within hours.",
		}
	}
	return ok("autovacuum", "on")
}

func clockOf(at, begun, ended time.Time) Diagnosis {
	skew := begun.Add(ended.Sub(begun) / 2).Sub(at).Round(time.Millisecond)
	if skew.Abs() > mostClockSkew {
		return Diagnosis{
			"clock", DiagnosisFailed, apart(skew),
			"Set the machine's clock: processes refuse to start.",
		}
	}
	return ok("clock", "%s", apart(skew))
}

func apart(skew time.Duration) string {
	if skew < 0 {
		return fmt.Sprintf("this machine is %s behind the database", -skew)
	}
	return fmt.Sprintf("this machine is %s ahead of the database", skew)
}

func schemaOf(ctx context.Context, pool *pgxpool.Pool, _ *dbsqlc.Queries) (Diagnosis, error) {
	migrated, err := Migrated(ctx, pool)
	if refusal, ok := errors.AsType[*SchemaError](err); ok {
		return Diagnosis{"schema", DiagnosisFailed, refusal.Reason, "Run the release that migrated it, or a later one."}, nil
	}
	if err != nil {
		return Diagnosis{}, err
	}
	if !migrated {
		return Diagnosis{"schema", DiagnosisFailed, "migrations are pending", "Run millrace migrate."}, nil
	}
	return ok("schema", "up to date"), nil
}

// poolerOf notices a pooler: it gives its clients process ids of its own, and its connections may change server
// processes between transactions.
func poolerOf(ctx context.Context, pool *pgxpool.Pool, queries *dbsqlc.Queries) (Diagnosis, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("look for a pooler: %w", classify(err))
	}
	defer conn.Release()
	pid, err := queries.DoctorBackend(ctx, conn)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("look for a pooler: %w", classify(err))
	}
	if uint32(pid) == conn.Conn().PgConn().PID() { //nolint:gosec // a process id is positive
		return ok("pooler", "none"), nil
	}
	return Diagnosis{
		"pooler", DiagnosisWarning, "a pooler such as PgBouncer is in between",
		"Connect directly if you can. In transaction mode, notifications and the limits of sessions are lost.",
	}, nil
}

// listening reports whether a notification arrives. Without, everything is polled for, and orders take a second longer.
func listening(ctx context.Context, pool *pgxpool.Pool, queries *dbsqlc.Queries) (Diagnosis, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("listen: %w", classify(err))
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "LISTEN millrace_doctor"); err != nil {
		return Diagnosis{}, fmt.Errorf("listen: %w", classify(err))
	}
	if err := queries.DoctorNotify(ctx, pool); err != nil {
		return Diagnosis{}, fmt.Errorf("notify: %w", classify(err))
	}
	hearing, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	if _, err := conn.Conn().WaitForNotification(hearing); err != nil {
		return Diagnosis{
			"listen", DiagnosisWarning, "a notification did not arrive",
			"Everything works by polling, and an order takes a second longer. Connect without a pooler.",
		}, nil
	}
	_, _ = conn.Exec(ctx, "UNLISTEN millrace_doctor")
	return ok("listen", "a notification arrived"), nil
}

func rightsOf(
	ctx context.Context, pool *pgxpool.Pool, queries *dbsqlc.Queries, s dbsqlc.DoctorServerRow,
) (Diagnosis, error) {
	missing, err := queries.DoctorRights(ctx, pool)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("look at rights: %w", classify(err))
	}
	switch {
	case len(missing) > 0:
		return Diagnosis{
			"privileges", DiagnosisFailed,
			fmt.Sprintf("the role %s lacks rights on %s", s.Role, strings.Join(missing, ", ")),
			"Run millrace migrate --grant " + s.Role + ".",
		}, nil
	case !s.ReadsStats:
		return Diagnosis{
			"privileges", DiagnosisWarning, fmt.Sprintf("the role %s does not have pg_read_all_stats", s.Role),
			"Verification cannot see other roles' transactions: GRANT pg_read_all_stats TO " + s.Role + ".",
		}, nil
	}
	return ok("privileges", "the role %s has what it needs", s.Role), nil
}
