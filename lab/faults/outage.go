package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// outageRows are the rows about a single database that goes away and comes back.
func outageRows() []row {
	return []row{
		{
			id: "F7", name: "Postgres is stopped immediately every 5 to 40 s, and down for up to 2 s", short: true,
			expected: "nothing lost, nothing doubled", run: postgresRestarts, settle: 5 * time.Minute,
		},
		{
			id: "F8", name: "one backend, or the whole server, is killed with SIGKILL every 10 s",
			expected: "nothing lost, nothing doubled", run: backendsKilled, settle: 5 * time.Minute,
		},
		{
			id: "F21", name: "a transaction stays open and holds the feed and vacuum back",
			expected: "orders go on", run: longTransaction,
		},
		{
			id: "F25", name: "another client takes all connections of the database", short: true,
			expected: "503 meanwhile, nothing else", run: connectionsStolen,
		},
	}
}

// postgresRestarts repeats DBOS Transact's chaos test: the same times, and as many orders as that test has workflows.
func postgresRestarts(ctx context.Context, r *run) error {
	stops, down := 0, time.Duration(0)
	l := usual(size(r, 150, 10_000), size(r, 10.0, 16))
	least, most := size(r, 3*time.Second, 5*time.Second), size(r, 5*time.Second, 40*time.Second)
	err := r.serve(ctx, l, func(ctx context.Context) error {
		random := rand.New(rand.NewPCG(r.seed, 3))
		return r.every(ctx, least, most, func() error {
			stops++
			pause := time.Duration(random.Int64N(int64(2 * time.Second)))
			down += pause
			return r.primary().restart(ctx, syscall.SIGQUIT, pause)
		})
	})
	r.figure("stops", "%d", stops)
	r.figure("down on purpose", "%.0f s", down.Seconds())
	r.expect(stops > 0, "Postgres was never stopped")
	return err
}

func backendsKilled(ctx context.Context, r *run) error {
	kills := 0
	err := r.serve(ctx, usual(size(r, 120, 2000), size(r, 10.0, 15)), func(ctx context.Context) error {
		return r.every(ctx, size(r, 4*time.Second, 10*time.Second), size(r, 4*time.Second, 10*time.Second), func() error {
			kills++
			if kills%3 == 0 {
				return r.primary().restart(ctx, syscall.SIGKILL, 0)
			}
			pid, err := r.primary().number(ctx, `SELECT pid FROM pg_stat_activity
				WHERE application_name LIKE 'millrace-%' ORDER BY random() LIMIT 1`)
			if err != nil {
				return nil //nolint:nilerr // it is still recovering from the last restart
			}
			return syscall.Kill(pid, syscall.SIGKILL)
		})
	})
	r.figure("kills", "%d", kills)
	r.expect(kills > 0, "nothing was killed")
	return err
}

func longTransaction(ctx context.Context, r *run) error {
	conn, err := r.primary().connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
		return err
	}
	if err := r.serve(ctx, usual(size(r, 80, 1200), size(r, 10.0, 20)), nil); err != nil {
		return err
	}
	return tx.Rollback(ctx)
}

// connectionsStolen takes all free connections, ends millrace's own, and takes those, too.
func connectionsStolen(ctx context.Context, r *run) error {
	var stolen []*pgx.Conn
	steal := func() {
		for {
			conn, err := r.primary().connect(ctx)
			if err != nil {
				return
			}
			stolen = append(stolen, conn)
		}
	}
	err := r.serve(ctx, usual(size(r, 100, 600), 10), func(ctx context.Context) error {
		pause(ctx, 2*time.Second)
		if err := r.primary().exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE application_name LIKE 'millrace-%'`); err != nil {
			return err
		}
		for range 5 { // again, because millrace reconnects
			steal()
			pause(ctx, time.Second)
		}
		for _, conn := range stolen {
			_ = conn.Close(context.Background())
		}
		return nil
	})
	r.figure("stolen", "%d", len(stolen))
	return err
}
