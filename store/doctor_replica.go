package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	// replayWithin is how soon a healthy replica replays what the primary has written.
	replayWithin = 2 * time.Second
	replayPoll   = 20 * time.Millisecond
)

// DiagnoseReplica checks whether requests can be answered from a replica of a database. It writes nothing. name is that
// of the check. An error means that the primary could not be examined.
func DiagnoseReplica(ctx context.Context, primaryURL, replicaURL, name string) (Diagnosis, error) {
	primary, err := NewPool(ctx, primaryURL, doctorPool, 1)
	if err != nil {
		return Diagnosis{}, err
	}
	defer primary.Close()
	queries := dbsqlc.New()
	want, err := queries.DatabaseIdentity(ctx, primary)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("read which database this is: %w", classify(err))
	}
	position, err := queries.PositionRead(ctx, primary)
	if err != nil {
		return Diagnosis{}, fmt.Errorf("read position: %w", classify(err))
	}
	pool, err := NewReplicaPool(ctx, replicaURL, doctorPool, 1)
	if err != nil {
		return Diagnosis{}, err
	}
	defer pool.Close()
	failed := func(err error) (Diagnosis, error) {
		return Diagnosis{name, DiagnosisFailed, err.Error(), "Name a standby of this database in DATABASE_REPLICA_URLS."}, nil
	}
	row, err := identify(ctx, queries, pool, want, Position{})
	lsn := row.Lsn
	switch {
	case isRefusal(err):
		return failed(err)
	case err != nil:
		return Diagnosis{
			name, DiagnosisWarning, "it cannot be reached: " + err.Error(),
			"Reads come from the primary as long as the replica is away.",
		}, nil
	}
	for begun := time.Now(); lsn < position.Lsn && time.Since(begun) < replayWithin; {
		select {
		case <-time.After(replayPoll):
		case <-ctx.Done():
			return Diagnosis{}, ctx.Err()
		}
		if lsn, err = queries.ReplicaPosition(ctx, pool); err != nil {
			return failed(classify(err))
		}
	}
	if lsn < position.Lsn {
		return Diagnosis{
			name, DiagnosisWarning, fmt.Sprintf("after %s it is %d bytes behind", replayWithin, position.Lsn-lsn),
			"Reads come from the primary as long as the replica is behind: look at its replication and " +
				"recovery_min_apply_delay.",
		}, nil
	}
	return ok(name, "a standby of this database, which has replayed everything"), nil
}
