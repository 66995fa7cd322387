package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// replicaPatience bounds how long a request waits for a replica before it has read anything.
	replicaPatience = 250 * time.Millisecond
	// replicaTimeout bounds the reads of one request. After that they are done again on the primary.
	replicaTimeout = 2 * time.Second
)

// errBehind reports that a replica has not replayed what the caller has seen.
var errBehind = errors.New("the replica is behind")

// replicaState is what a process knows of a replica.
type replicaState string

const (
	replicaUsed        replicaState = "used"
	replicaBehind      replicaState = "behind"      // it has not replayed the timeline's mark, or lags too far
	replicaUnreachable replicaState = "unreachable" // it is not asked until a probe gets an answer
	replicaRefused     replicaState = "refused"     // it is not a standby of this database
)

func replicaStates() []replicaState {
	return []replicaState{replicaUsed, replicaBehind, replicaUnreachable, replicaRefused}
}

// replica is a standby from which requests may be answered.
type replica struct {
	name    string
	pool    *pgxpool.Pool
	queries *dbsqlc.Queries
	state   atomic.Pointer[replicaReport]
}

// replicaReport is what the latest probe, or a read that failed since, has found.
type replicaReport struct {
	state replicaState
	lag   time.Duration
	err   error // why it is not used
}

func (r *replica) report() replicaReport {
	if report := r.state.Load(); report != nil {
		return *report
	}
	return replicaReport{state: replicaUnreachable}
}

// acquire returns a connection on which everything is visible up to a position of the present timeline. Errors:
// errBehind and errBusy; another one means that the replica does not work.
func (r *replica) acquire(ctx context.Context, after Position) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, replicaPatience)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if stat := r.pool.Stat(); err != nil && stat.AcquiredConns() >= stat.MaxConns() {
		return nil, errBusy
	}
	if err != nil {
		return nil, fmt.Errorf("acquire: %w", err)
	}
	row, err := r.queries.ReplicaRead(ctx, conn, []int64{int64(after.mark)}) //nolint:gosec // below 1 << 63
	switch {
	case err != nil:
	case !row.Standby:
		err = errNotStandby
	case row.Marks == 0, uint64(row.Lsn) < after.lsn: //nolint:gosec // not negative
		err = errBehind
	default:
		return conn, nil
	}
	conn.Release()
	return nil, err
}

// read runs fn with the nouns that can be read on a standby. reached is behind everything that fn saw.
func (r *replica) read(
	ctx context.Context, conn *pgxpool.Conn, base *database, fn func(context.Context, *Store) error,
) (lsn uint64, err error) {
	defer conn.Release()
	ctx, cancel := context.WithTimeout(ctx, replicaTimeout)
	defer cancel()
	d := *base
	d.db, d.patient, d.bell = classified{conn}, classified{conn}, nil
	if err := fn(ctx, readOnlyStore(&d)); err != nil {
		return 0, err
	}
	reached, err := r.queries.ReplicaPosition(ctx, d.db)
	return uint64(reached), err //nolint:gosec // not negative
}

// readOnlyStore returns the nouns that can be read on a standby. The others are nil.
func readOnlyStore(d *database) *Store {
	return &Store{
		Orders: &Orders{database: d}, Log: &Log{d}, History: &History{d}, Processes: &Processes{d},
		DeadLetters: &DeadLetters{d},
	}
}

// probe finds out whether the replica is one of the primary's, and how far it has come.
func (r *replica) probe(
	ctx context.Context, primary dbsqlc.DatabaseIdentityRow, current Position,
) (lsn uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, positionTimeout)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return 0, classify(err)
	}
	defer conn.Release()
	row, err := identify(ctx, r.queries, conn, primary, current)
	if err == nil && row.Marks == 0 {
		err = errBehind
	}
	return uint64(row.Lsn), err //nolint:gosec // not negative
}

// identify reads how far a standby has come. Error: *ReplicaError, if the server is not a standby of that database.
func identify(
	ctx context.Context, queries *dbsqlc.Queries, db dbsqlc.DBTX, want dbsqlc.DatabaseIdentityRow, current Position,
) (row dbsqlc.ReplicaReadRow, err error) {
	own, err := queries.DatabaseIdentity(ctx, db)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && (pg.Code == "42883" || pg.Code == "3F000") {
		return row, &ReplicaError{"it has no schema of Millrace's, or not the latest migrations"}
	}
	switch {
	case err != nil:
		return row, classify(err)
	case own.System != want.System:
		return row, &ReplicaError{"it belongs to another cluster"}
	case own.Database != want.Database:
		return row, &ReplicaError{"it is another database of the cluster"}
	}
	row, err = queries.ReplicaRead(ctx, db, []int64{int64(current.mark)}) //nolint:gosec // below 1 << 63
	if err == nil && !row.Standby {
		err = &ReplicaError{errNotStandby.Error()}
	}
	return row, classify(err)
}

// A ReplicaError is why a server is not used as a replica.
type ReplicaError struct{ Reason string }

func (e *ReplicaError) Error() string { return "not a replica of this database: " + e.Reason }
