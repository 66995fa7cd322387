package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

// providerRows are the rows about providers that fail, hang, lie and forget.
func providerRows() []row {
	return []row{
		{
			id: "F29", name: "a third of all answers is lost after the effect, or is not of the contract",
			short:    true,
			expected: "no effect twice", run: answersLost,
		},
		{
			id: "F30", name: "a provider is down, then back",
			expected: "no order is given up, the backlog drains", run: providerDown, settle: 6 * time.Minute,
		},
		{
			id: "F31", name: "a provider fails half of the time, in periods of seconds",
			expected: "goodput at least 45 %, at most 1.1 sends of a key in all", run: flapping, settle: 6 * time.Minute,
		},
		{
			id: "F32", name: "a provider takes calls and never answers", short: true,
			expected: "the others' steps take no longer", run: hanging, settle: 6 * time.Minute,
		},
		{
			id: "F33", name: "a provider replays a stored 500 for ever, although it is done; another is down past all deadlines",
			expected: "settled by asking; nothing is sent after its deadline", run: stickyAndLate,
			settle: 6 * time.Minute, short: true,
		},
		{
			id: "F35", name: "every step is refused, at its position in the saga", short: true,
			expected: "undone, nothing is left", run: everyStepRefused,
		},
		{
			id: "F36", name: "compensations fail for a while",
			expected: "undone in the end", run: compensationsFail, settle: 6 * time.Minute,
		},
		{
			id: "F36b", name: "compensations are refused",
			expected: "the order needs attention, and says why", run: compensationsRefused, attention: true,
		},
	}
}

func answersLost(ctx context.Context, r *run) error {
	lost := map[string]any{"lostRate": 0.25, "garbleRate": 0.08, "latencyMs": 10, "jitterMs": 30}
	if err := r.setFaults(ctx, faults{"payment": lost, "inventory": lost, "shipping": lost, "email": lost}); err != nil {
		return err
	}
	return r.serve(ctx, usual(size(r, 60, 1000), 10), nil)
}

func providerDown(ctx context.Context, r *run) error {
	if err := r.setFaults(ctx, faults{"payment": {"down": true}}); err != nil {
		return err
	}
	l := usual(size(r, 60, 1200), 10)
	l.refunded = 0 // no order is completed
	var jobless int
	err := r.serve(ctx, l, func(ctx context.Context) (err error) {
		jobless, err = r.jobless(ctx)
		return err
	})
	if err != nil {
		return err
	}
	r.figure("steps without a job", "%d", jobless)
	r.expect(jobless == 0, "%d steps were seen that no job could carry out", jobless)
	pause(ctx, size(r, 10*time.Second, 2*time.Minute))
	const deadlines = "SELECT count(*) FROM millrace.order_steps WHERE state = 'unknown' AND reason = 'deadline'"
	gaveUp, err := r.primary().number(ctx, deadlines)
	r.figure("given up", "%d", gaveUp)
	r.expect(gaveUp == 0, "%d steps were given up", gaveUp)
	return err
}

// jobless looks again and again for pending steps that no job can carry out, and returns the most it has seen at a
// time. A step's own job can, a job that carries its order, and the job of another step while it runs: that job goes on
// with what it starts. Each look is one snapshot.
func (r *run) jobless(ctx context.Context) (most int, err error) {
	const look = `SELECT count(*) FROM millrace.order_steps s WHERE s.state = 'pending' AND NOT EXISTS (
		SELECT FROM millrace.river_job j WHERE j.args ->> 'order_id' = s.order_id::text
			AND j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
			AND (j.kind = 'carry_order' OR j.state = 'running'
				OR j.kind = s.step AND j.args ->> 'generation' = s.generation::text))`
	for pause(ctx, 50*time.Millisecond) {
		n, err := r.primary().number(context.WithoutCancel(ctx), look)
		if err != nil {
			return 0, err
		}
		most = max(most, n)
	}
	return most, nil
}

func flapping(ctx context.Context, r *run) error {
	period := size(r, 2*time.Second, 5*time.Second)
	l := load{orders: size(r, 80, 1200), rate: 10}
	var during int
	err := r.serve(ctx, l, func(ctx context.Context) error {
		for up := true; pause(ctx, period); up = !up {
			f := faults{"shipping": {"errorRate": 0.0}}
			if up {
				f["shipping"]["errorRate"] = 1.0
			}
			if err := r.setFaults(ctx, f); err != nil {
				return err
			}
		}
		var err error
		during, err = r.primary().number(context.WithoutCancel(ctx),
			"SELECT count(*) FROM millrace.orders WHERE status = 'completed'")
		return err
	})
	if err != nil {
		return err
	}
	r.figure("goodput", "%d %%", 100*during/l.orders)
	r.expect(100*during/l.orders >= 45, "only %d of %d orders were completed meanwhile", during, l.orders)
	sends, keys, err := r.sends(ctx)
	r.figure("sends per key", "%.2f", float64(sends)/float64(max(keys, 1)))
	return err
}

// sends counts the sends to the providers, and their keys.
func (r *run) sends(ctx context.Context) (sends, keys int, err error) {
	var list []simulator.Key
	if err := r.ask(ctx, http.MethodGet, r.simulatorURL("/ledger/keys"), nil, &list); err != nil {
		return 0, 0, err
	}
	for _, k := range list {
		sends += k.Sends
	}
	return sends, len(list), nil
}

func hanging(ctx context.Context, r *run) error {
	const took = `SELECT coalesce(1000 * percentile_cont(0.95) WITHIN GROUP (
		ORDER BY extract(epoch FROM settled_at - started_at)), 0)::int FROM millrace.order_steps
		WHERE step IN ('reserve_inventory', 'quote_shipping') AND state = 'succeeded'
		AND started_at > now() - $$%d s$$::interval`
	l := load{orders: size(r, 60, 600), rate: 10}
	began := time.Now()
	if err := r.serve(ctx, l, nil); err != nil {
		return err
	}
	before, err := r.primary().number(ctx, fmt.Sprintf(took, int(time.Since(began).Seconds())+1))
	if err != nil {
		return err
	}
	well := map[string]any{"latencyMs": 10, "jitterMs": 30}
	if err := r.setFaults(ctx, faults{"payment": {"hangRate": 1.0}, "inventory": well, "shipping": well}); err != nil {
		return err
	}
	began = time.Now()
	customers, scripts := r.newCustomers(), l.scripts(r.random)
	for i := range scripts {
		scripts[i].key = "hanging-" + scripts[i].key
	}
	customers.run(ctx, scripts)
	pause(ctx, 2*time.Second)
	after, err := r.primary().number(ctx, fmt.Sprintf(took, int(time.Since(began).Seconds())+1))
	r.figure("p95 of the others", "%d ms before, %d ms meanwhile", before, after)
	most := 3000 // the time of a call to the hanging provider
	if r.full {
		most = before*11/10 + 10
	}
	r.expect(after < most, "the others' steps took %d ms", after)
	return err
}

// stickyAndLate needs deadlines to pass that are hours away: it moves them.
func stickyAndLate(ctx context.Context, r *run) error {
	sticky := map[string]any{"stickyRate": 1.0, "operations": []string{"quote", "ship"}}
	if err := r.setFaults(ctx, faults{"shipping": sticky}); err != nil {
		return err
	}
	l := load{orders: size(r, 20, 200), rate: 10}
	if err := r.serve(ctx, l, nil); err != nil {
		return err
	}
	if err := r.setFaults(ctx, faults{"payment": {"down": true}}); err != nil {
		return err
	}
	customers, scripts := r.newCustomers(), l.scripts(r.random)
	for i := range scripts {
		scripts[i].key = "late-" + scripts[i].key
	}
	customers.run(ctx, scripts)
	late, err := r.primary().number(ctx, `WITH late AS (
		UPDATE millrace.order_steps SET deadline_at = started_at + interval '1 ms'
		WHERE step = 'authorize_payment' AND state = 'pending' RETURNING 1)
		SELECT count(*) FROM late`)
	r.figure("past their deadlines", "%d", late)
	r.expect(late > 0, "no step was pending")
	pause(ctx, 6*time.Second) // an effect from now on was sent after its deadline
	return err
}

func everyStepRefused(ctx context.Context, r *run) error {
	refusals := []struct{ provider, operation string }{
		{"payment", "authorize"},
		{"inventory", "reserve"},
		{"shipping", "quote"},
		{"payment", "capture"},
		{"shipping", "ship"},
	}
	for _, refusal := range refusals {
		if err := r.setFaults(ctx, faults{
			refusal.provider: {"refuseRate": 1.0, "operations": []string{refusal.operation}},
		}); err != nil {
			return err
		}
		scripts := load{orders: size(r, 8, 100), rate: 20}.scripts(r.random)
		for i := range scripts {
			scripts[i].key = refusal.operation + "-" + scripts[i].key
		}
		r.newCustomers().run(ctx, scripts)
		if !launch.Eventually(ctx, 2*time.Minute, func() bool {
			open, err := r.open(ctx)
			return err == nil && open == 0
		}) {
			r.expect(false, "orders whose %s was refused do not end", refusal.operation)
		}
	}
	completed, err := r.primary().number(ctx, "SELECT count(*) FROM millrace.orders WHERE status = 'completed'")
	r.expect(completed == 0, "%d orders were completed without one of their steps", completed)
	r.figure("positions", "%d", len(refusals))
	return err
}

// undoing returns a fault of compensations only.
func undoing(fault string) faults {
	return faults{
		"payment":   {fault: 1.0, "operations": []string{"void", "refund"}},
		"inventory": {fault: 1.0, "operations": []string{"release"}},
		"shipping":  {fault: 1.0, "operations": []string{"cancel_shipment"}},
	}
}

func compensationsFail(ctx context.Context, r *run) error {
	if err := r.setFaults(ctx, undoing("errorRate")); err != nil {
		return err
	}
	l := usual(size(r, 60, 600), 10)
	l.cancelled, l.outOfStock, l.refunded = 0.3, 0.3, 0
	if err := r.serve(ctx, l, nil); err != nil {
		return err
	}
	pause(ctx, size(r, 10*time.Second, 2*time.Minute))
	return nil
}

func compensationsRefused(ctx context.Context, r *run) error {
	if err := r.setFaults(ctx, undoing("refuseRate")); err != nil {
		return err
	}
	l := usual(size(r, 60, 300), 10)
	l.cancelled, l.outOfStock, l.refunded = 0.3, 0.3, 0
	if err := r.serve(ctx, l, nil); err != nil {
		return err
	}
	launch.Eventually(ctx, time.Minute, func() bool {
		open, err := r.open(ctx)
		return err == nil && open == 0
	})
	silent, err := r.primary().number(ctx,
		"SELECT count(*) FROM millrace.orders WHERE status = 'needs_attention' AND reason = ''")
	r.expect(silent == 0, "%d orders need attention and do not say why", silent)
	return err
}
