package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// failoverRows are the rows about a primary with a synchronous standby.
func failoverRows() []row {
	pair := needs{instances: 2, standby: true}
	return []row{
		{
			id: "F9", name: "the primary is killed with SIGKILL and the synchronous standby promoted", short: true,
			expected: "no accepted order is lost", run: failover, needs: pair,
		},
		{
			id: "F11", name: "the primary becomes read-only with its connections open, and the standby is promoted",
			expected: "its connections are dropped", run: demotion, needs: pair,
		},
		{
			id: "F12", name: "a frozen primary comes back to life after the standby was promoted",
			expected: "it accepts nothing any more", run: splitBrain, needs: pair,
		},
		{
			id: "F13", name: "control of F9: the standby is asynchronous and lags behind",
			expected: "accepted orders are lost", run: asynchronous, needs: pair, control: true, settle: 15 * time.Second,
		},
		{
			id: "F14", name: "the synchronous standby goes away and comes back", short: true,
			expected: "nothing is accepted meanwhile", run: standbyGone, needs: pair,
		},
		{
			id: "F15", name: "a replica that is 3 s behind, with reads from it", short: true,
			expected: "no stale read", run: laggingReplica, needs: needs{instances: 2, standby: true, replica: true},
		},
	}
}

// addStandby makes other a synchronous standby of primary.
func (d *deployment) addStandby(ctx context.Context, primary, other *database) error {
	if err := primary.cloneTo(ctx, other); err != nil {
		return err
	}
	if err := primary.setSync(ctx, true); err != nil {
		return err
	}
	if !launch.Eventually(ctx, time.Minute, func() bool {
		n, err := primary.number(ctx, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
		return err == nil && n == 1
	}) {
		return errors.New("the standby does not stream")
	}
	return nil
}

// promote makes the standby the primary, also for the checks.
func (r *run) promote(ctx context.Context) error {
	if err := r.standby().promote(ctx); err != nil {
		return err
	}
	slices.Reverse(r.databases)
	return nil
}

// outage returns how long no placement succeeded after a moment, until the next placement that began after it was
// accepted.
func (r *run) outage(after int64) time.Duration {
	first := int64(-1)
	for _, o := range r.journal.operations() {
		if o.Kind == opPlace && o.accepted() && o.Call > after && (first < 0 || o.Return < first) {
			first = o.Return
		}
	}
	return time.Duration(first - after)
}

func failover(ctx context.Context, r *run) error {
	var killed []int64
	rounds := size(r, 1, 5)
	err := r.serve(ctx, usual(size(r, 150, 300*rounds), 10), func(ctx context.Context) error {
		for range rounds {
			if !pause(ctx, 4*time.Second) {
				return nil
			}
			if err := r.primary().crash(syscall.SIGKILL); err != nil {
				return err
			}
			killed = append(killed, r.journal.now())
			if err := r.promote(ctx); err != nil {
				return err
			}
			if !pause(ctx, 5*time.Second) {
				return nil
			}
			// The customers may be done before the copy is.
			if err := r.addStandby(context.WithoutCancel(ctx), r.primary(), r.standby()); err != nil {
				return err
			}
		}
		return nil
	})
	r.expect(len(killed) == rounds, "only %d failovers", len(killed))
	var longest time.Duration
	for _, at := range killed {
		longest = max(longest, r.outage(at))
	}
	r.figure("failovers", "%d", len(killed))
	r.figure("longest outage", "%.1f s", longest.Seconds())
	return err
}

func demotion(ctx context.Context, r *run) error {
	var at int64
	var reads, behind int
	err := r.serve(ctx, usual(size(r, 200, 600), 10), func(ctx context.Context) error {
		pause(ctx, 4*time.Second)
		at = r.journal.now()
		if err := r.primary().set(ctx, "default_transaction_read_only", "on"); err != nil {
			return err
		}
		if err := r.promote(ctx); err != nil {
			return err
		}
		pause(ctx, 12*time.Second)
		var err error
		reads, behind, err = r.behind(context.WithoutCancel(ctx), 5*time.Second)
		return err
	})
	r.figure("outage", "%.1f s", r.outage(at).Seconds())
	r.figure("reads", "%d", reads)
	r.expect(behind == 0, "%d of %d reads were older than 5 s", behind, reads)
	return err
}

func splitBrain(ctx context.Context, r *run) error {
	var at int64
	err := r.serve(ctx, usual(size(r, 200, 600), 10), func(ctx context.Context) error {
		pause(ctx, 4*time.Second)
		old := r.primary()
		if err := signalFamily(old.PID(), syscall.SIGSTOP); err != nil {
			return err
		}
		at = r.journal.now()
		if err := r.promote(ctx); err != nil {
			return err
		}
		pause(ctx, 8*time.Second)
		if err := signalFamily(old.PID(), syscall.SIGCONT); err != nil {
			return err
		}
		pause(ctx, 8*time.Second) // it cannot know of the failover, and confirms nothing that its standby has not confirmed
		return old.crash(syscall.SIGKILL)
	})
	r.figure("outage", "%.1f s", r.outage(at).Seconds())
	return err
}

func asynchronous(ctx context.Context, r *run) error {
	if err := r.primary().setSync(ctx, false); err != nil {
		return err
	}
	l := usual(100, 10)
	l.refunded = 0 // refunds would wait for orders that the failover has lost
	return r.serve(ctx, l, func(ctx context.Context) error {
		pause(ctx, 4*time.Second)
		r.primary().replication.Stop()
		pause(ctx, time.Second)
		if err := r.primary().crash(syscall.SIGKILL); err != nil {
			return err
		}
		return r.promote(ctx)
	})
}

func standbyGone(ctx context.Context, r *run) error {
	var gone, back int64
	err := r.serve(ctx, usual(size(r, 100, 600), size(r, 4.0, 10)), func(ctx context.Context) error {
		pause(ctx, 2*time.Second)
		if err := r.standby().crash(syscall.SIGKILL); err != nil {
			return err
		}
		gone = r.journal.now()
		// Longer than a statement's limit: Postgres then stops waiting for the standby, and the commit becomes visible.
		pause(ctx, 20*time.Second)
		back = r.journal.now()
		return r.standby().start(context.WithoutCancel(ctx))
	})
	accepted, slowest := 0, time.Duration(0)
	for _, o := range r.journal.operations() {
		if o.Kind != opPlace || o.Call < gone || o.Return > back {
			continue
		}
		slowest = max(slowest, time.Duration(o.Return-o.Call))
		if o.accepted() {
			accepted++
			r.expect(false, "%s was accepted by one database alone", o.Key)
		}
	}
	r.figure("accepted without it", "%d", accepted)
	r.figure("slowest answer", "%.1f s", slowest.Seconds())
	return err
}

// behind counts the reads through all instances, and those that lack a change that was in the database for longer than
// bound.
func (r *run) behind(ctx context.Context, bound time.Duration) (reads, behind int, err error) {
	conn, err := r.primary().connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id, version FROM millrace.orders WHERE updated_at < now() - $1::interval", bound)
	if err != nil {
		return 0, 0, err
	}
	var id uuid.UUID
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
		for _, i := range r.instances {
			var read answer
			reads++
			err := r.ask(ctx, http.MethodGet, i.url("/api/orders/"+id.String()), nil, &read)
			if err != nil || read.Version < version {
				behind++
			}
		}
		return nil
	})
	return reads, behind, err
}
