package main

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

// killRows are the rows about millrace's own processes.
func killRows() []row {
	return []row{
		{
			id: "F2", name: "kill -9 of a random instance every 2 to 5 s", short: true,
			expected: "nothing lost, nothing doubled; 99 of 100 orders are at rest within 15 s", run: killedAtRandom,
			needs: needs{instances: 3}, rests: 15 * time.Second,
		},
		{
			id: "F3", name: "kill -9 of the leader of the job queue every 20 s",
			expected: "scheduled work is late by 25 s at most", run: leaderKilled, needs: needs{instances: 2},
		},
		{
			id: "F4", name: "rolling restarts with SIGTERM", short: true,
			expected: "no request fails but while draining", run: rollingRestarts, needs: needs{instances: 3},
		},
		{
			id: "F5", name: "SIGSTOP of an instance for longer than its jobs are believed in, then SIGCONT",
			expected: "its late answers change nothing", run: zombies, needs: needs{instances: 2}, settle: 5 * time.Minute,
		},
		{
			id: "F6", name: "jobs are doubled, completed without their worker, or deleted", short: true,
			expected: "a step has one outcome, and none is stranded", run: jobsTampered, needs: needs{instances: 2},
		},
	}
}

func killedAtRandom(ctx context.Context, r *run) error {
	l := usual(size(r, 150, 4000), size(r, 10.0, 20))
	err := r.serve(ctx, l, func(ctx context.Context) error {
		return r.every(ctx, 2*time.Second, 5*time.Second, func() error { return r.restart(ctx, r.any(r.random)) })
	})
	r.figure("kills", "%d", r.kills)
	r.expect(r.kills > 0, "no instance was killed")
	return err
}

func leaderKilled(ctx context.Context, r *run) error {
	// Failing calls make steps that are tried again later. The leader has to schedule those.
	if err := r.setFaults(ctx, faults{"payment": {"errorRate": 0.3}}); err != nil {
		return err
	}
	return r.serve(ctx, usual(size(r, 100, 1500), size(r, 4.0, 10)), func(ctx context.Context) error {
		return r.every(ctx, 20*time.Second, 20*time.Second, func() error {
			for _, i := range r.instances {
				var status struct{ Instance, Leader string }
				if r.ask(ctx, http.MethodGet, i.url("/api/system/status"), nil, &status) == nil &&
					status.Leader != "" && status.Leader == status.Instance {
					return r.restart(ctx, i)
				}
			}
			return nil // no leader at the moment
		})
	})
}

func rollingRestarts(ctx context.Context, r *run) error {
	unclean := 0
	err := r.serve(ctx, usual(size(r, 150, 3000), size(r, 10.0, 20)), func(ctx context.Context) error {
		for n := range size(r, 3, 60) {
			if !pause(ctx, time.Second) {
				break
			}
			i := r.instances[n%len(r.instances)]
			if i.Stop(syscall.SIGTERM, grace) != nil || !i.State().Success() {
				unclean++
			}
			if err := r.begin(i); err != nil {
				return err
			}
			if err := r.awaitReady(ctx, i); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	r.expect(unclean == 0, "%d instances did not stop by themselves", unclean)
	var wrong int
	for _, o := range r.journal.operations() {
		if o.Code >= 500 && o.Code != 503 {
			wrong++
		}
	}
	r.expect(wrong == 0, "%d requests were answered with a 5xx other than 503", wrong)
	return err
}

func zombies(ctx context.Context, r *run) error {
	if err := r.setFaults(ctx, faults{"payment": {"latencyMs": 300}, "shipping": {"latencyMs": 300}}); err != nil {
		return err
	}
	frozen := r.instances[0]
	customers := r.newCustomers()
	customers.via = frozen
	done := make(chan struct{})
	go func() {
		defer close(done)
		customers.run(ctx, usual(40, 20).scripts(r.random))
	}()
	pause(ctx, time.Second) // some steps are under way
	frozen.Signal(syscall.SIGSTOP)
	pause(ctx, 100*time.Second) // River rescues after 90 s
	frozen.Signal(syscall.SIGCONT)
	<-done
	return nil
}

// jobsTampered changes River's rows as River itself may: a job runs twice, completes without its worker, or is lost. A
// trigger doubles every job.
func jobsTampered(ctx context.Context, r *run) error {
	const double = `
		CREATE FUNCTION double_job() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF pg_trigger_depth() = 1 AND NEW.args ? 'order_id' THEN
				INSERT INTO millrace.river_job (args, kind, max_attempts, priority, queue, state, metadata)
				VALUES (NEW.args, NEW.kind, NEW.max_attempts, 1, NEW.queue, 'available', '{}');
			END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER double_job AFTER INSERT ON millrace.river_job FOR EACH ROW EXECUTE FUNCTION double_job()`
	if err := r.primary().exec(ctx, double); err != nil {
		return err
	}
	if err := r.setFaults(ctx, faults{"payment": {"latencyMs": 50, "jitterMs": 100}}); err != nil {
		return err
	}
	if err := r.serve(ctx, usual(size(r, 60, 1000), 10), nil); err != nil {
		return err
	}
	if err := r.primary().exec(ctx, "DROP TRIGGER double_job ON millrace.river_job"); err != nil {
		return err
	}
	// While the provider is down every order has waiting jobs. They are lost now, in each of these ways.
	if err := r.setFaults(ctx, faults{"payment": {"down": true}}); err != nil {
		return err
	}
	l := usual(30, 30)
	l.cancelled, l.refunded = 0, 0
	customers, scripts := r.newCustomers(), l.scripts(r.random)
	for i := range scripts {
		scripts[i].key = fmt.Sprintf("lost-%d", i)
	}
	customers.run(ctx, scripts)
	const lose = `WITH gone AS (
		SELECT id FROM millrace.river_job
			WHERE args ? 'order_id' AND state IN ('available', 'scheduled', 'retryable') AND id % 2 = 0
	), deleted AS (DELETE FROM millrace.river_job WHERE id IN (SELECT id FROM gone))
	UPDATE millrace.river_job SET state = 'completed', finalized_at = now()
	WHERE args ? 'order_id' AND state IN ('available', 'scheduled', 'retryable') AND id NOT IN (SELECT id FROM gone)`
	return r.primary().exec(ctx, lose)
}
