package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// featureLock is the advisory lock with which a server is asked for locks.
const featureLock = 0x6d696c6c64637472 // "milldctr"

// errLacks is the answer of a server that takes a statement and does something else than Postgres.
var errLacks = errors.New("the server takes the statement, and does not do what Postgres does")

// A feature is something that Millrace needs and that servers which speak Postgres's protocol may lack. docs/scaling.md
// says what each is used for, and where.
type feature struct {
	check string
	need  string // what does not work without the feature
	// ask fails if the server lacks the feature. Both transactions are rolled back.
	ask func(ctx context.Context, queries *dbsqlc.Queries, a, b pgx.Tx) error
}

func features() []feature {
	return []feature{
		{"transactions", "The log cannot be read: its readers go by the ids of running transactions.", askTransactions},
		{"locks", "Writers of an order cannot queue, and exports cannot seal: both use advisory locks.", askLocks},
		{"row_addresses", "Deliveries and the queue cannot claim rows: they update rows by ctid.", askRows},
		{"partitions", "The log cannot be kept in weeks: it attaches and detaches partitions.", askStatements(`
			CREATE TEMPORARY TABLE millrace_doctor (a integer NOT NULL) PARTITION BY RANGE (a) ON COMMIT DROP;
			CREATE TEMPORARY TABLE millrace_doctor_1 (a integer NOT NULL) ON COMMIT DROP;
			ALTER TABLE millrace_doctor ATTACH PARTITION millrace_doctor_1 FOR VALUES FROM (1) TO (2);
			LOCK TABLE millrace_doctor IN SHARE ROW EXCLUSIVE MODE;
			ALTER TABLE millrace_doctor DETACH PARTITION millrace_doctor_1`)},
		{"skip_locked", "Workers cannot fetch jobs side by side.", askStatements(`
			CREATE TEMPORARY TABLE millrace_doctor_2 (a integer NOT NULL) ON COMMIT DROP;
			INSERT INTO millrace_doctor_2 VALUES (1);
			SELECT FROM millrace_doctor_2 FOR UPDATE SKIP LOCKED`)},
		{"triggers", "The audit log is not protected from changes.", askStatements(`
			CREATE TEMPORARY TABLE millrace_doctor_3 (a integer NOT NULL) ON COMMIT DROP;
			CREATE TRIGGER millrace_doctor BEFORE UPDATE ON millrace_doctor_3
				FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`)},
	}
}

// featuresOf asks a server for each feature, in transactions that leave nothing behind.
func featuresOf(ctx context.Context, pool *pgxpool.Pool, queries *dbsqlc.Queries) ([]Diagnosis, error) {
	var all []Diagnosis
	for _, f := range features() {
		err := asked(ctx, pool, queries, f)
		refusal, refused := errors.AsType[*pgconn.PgError](err)
		switch {
		case err == nil:
			all = append(all, ok(f.check, "the server has them"))
		case refused && refusal.Code == "42501": // insufficient_privilege
			all = append(all, Diagnosis{
				f.check, DiagnosisWarning, "could not be asked for: " + refusal.Message,
				"Run doctor as the role that migrates.",
			})
		case refused || errors.Is(err, errLacks):
			all = append(all, Diagnosis{
				f.check, DiagnosisFailed, strings.TrimSpace(err.Error()), f.need + " See docs/scaling.md.",
			})
		default:
			return nil, fmt.Errorf("ask for %s: %w", f.check, classify(err))
		}
	}
	return all, nil
}

func asked(ctx context.Context, pool *pgxpool.Pool, queries *dbsqlc.Queries, f feature) error {
	a, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = a.Rollback(context.WithoutCancel(ctx)) }()
	b, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = b.Rollback(context.WithoutCancel(ctx)) }()
	return f.ask(ctx, queries, a, b)
}

// askTransactions has a session run a transaction, which another session's snapshot has to leave out.
func askTransactions(ctx context.Context, queries *dbsqlc.Queries, a, b pgx.Tx) error {
	txid, err := queries.DoctorTransaction(ctx, a)
	if err != nil {
		return err
	}
	for _, see := range []func(context.Context, dbsqlc.DBTX, uint64) (bool, error){
		queries.DoctorSees, queries.DoctorSession,
	} {
		if seen, err := see(ctx, b, txid); err != nil || !seen {
			return cmp.Or(err, errLacks)
		}
	}
	return nil
}

// askLocks has a session lock something, which another session must not get, and has to see in the list of locks.
func askLocks(ctx context.Context, queries *dbsqlc.Queries, a, b pgx.Tx) error {
	if err := queries.DoctorLock(ctx, a, featureLock); err != nil {
		return err
	}
	got, err := queries.DoctorTryLock(ctx, b, featureLock)
	if err != nil || got.Taken || !got.Listed {
		return cmp.Or(err, errLacks)
	}
	return nil
}

func askRows(ctx context.Context, queries *dbsqlc.Queries, a, _ pgx.Tx) error {
	if n, err := queries.DoctorRow(ctx, a); err != nil || n != 1 {
		return cmp.Or(err, errLacks)
	}
	return nil
}

// askStatements tries statements that a temporary table is enough for.
func askStatements(sql string) func(context.Context, *dbsqlc.Queries, pgx.Tx, pgx.Tx) error {
	return func(ctx context.Context, _ *dbsqlc.Queries, a, _ pgx.Tx) error {
		_, err := a.Exec(ctx, sql)
		return err
	}
}
