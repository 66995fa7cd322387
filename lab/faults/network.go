package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace-orders/millrace/lab/internal/launch"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// networkRows are the rows about the network between millrace and its database.
func networkRows() []row {
	return []row{
		{
			id: "F16", name: "every LISTEN connection is killed every 200 ms", short: true,
			expected: "polling does it", run: listenersKilled,
		},
		{
			id: "F17", name: "LISTEN connections are half open: there, and silent",
			expected: "polling does it", run: listenersFrozen,
		},
		{
			id: "F20", name: "writers that commit in another order than they wrote in, and a reader of the log", short: true,
			expected: "it reads everything; one that follows the ids does not", run: feedRace, needs: needs{instances: -1},
		},
		{
			id: "F22", name: "the connection breaks instead of acknowledging a COMMIT, three times in ten", short: true,
			expected: "the same key finds the same order", run: lostCommits,
		},
		{
			id: "F23", name: "the way to the database is slow, uneven, resets, and delivers single bytes",
			expected: "slower, and right", run: badNetwork,
		},
		{
			id: "F24", name: "the way to the database is a black hole for a while", short: true,
			expected: "503 soon, not ready, and on again soon after", run: blackHole,
		},
	}
}

const listeners = `FROM pg_stat_activity WHERE application_name LIKE 'millrace-%' AND query ILIKE 'listen %'`

func listenersKilled(ctx context.Context, r *run) error {
	kills := 0
	err := r.serve(ctx, usual(size(r, 80, 1200), 10), func(ctx context.Context) error {
		return r.every(ctx, 200*time.Millisecond, 200*time.Millisecond, func() error {
			n, err := r.primary().number(ctx, "SELECT count(pg_terminate_backend(pid)) "+listeners)
			kills += n
			return err
		})
	})
	r.figure("kills", "%d", kills)
	r.expect(kills > 0, "no listener was found")
	return err
}

func listenersFrozen(ctx context.Context, r *run) error {
	conn, err := r.primary().connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT pid "+listeners)
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	r.expect(len(pids) > 0, "no listener was found")
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	r.figure("frozen", "%d", len(pids))
	return r.serve(ctx, usual(size(r, 80, 600), 10), nil)
}

// feedRace reads the log in this process, as every process of millrace does.
func feedRace(ctx context.Context, r *run) error {
	pool, err := store.NewPool(ctx, r.primary().DSN(databaseName), "faults", 20)
	if err != nil {
		return err
	}
	defer pool.Close()
	var delivered atomic.Int64
	feed := store.NewFeed(pool, slog.New(slog.DiscardHandler), nil)
	feed.Subscribe(func(entries []store.Entry) { delivered.Add(int64(len(entries))) })
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go feed.Run(reading)
	if !launch.Eventually(ctx, time.Minute, func() bool { return feed.Behind() < time.Second }) {
		return fmt.Errorf("the feed does not begin to read")
	}
	naive := make(chan int, 1)
	go func() { // the control follows the ids
		seen, last := 0, int64(0)
		for pause(reading, time.Millisecond) {
			var n int
			if pool.QueryRow(ctx, "SELECT count(*), coalesce(max(id), $1) FROM millrace.order_events WHERE id > $1", last).
				Scan(&n, &last) == nil {
				seen += n
			}
		}
		naive <- seen
	}()
	const writers = 12
	each := size(r, 40, 500)
	var all sync.WaitGroup
	failures := make(chan error, writers)
	for w := range writers {
		all.Go(func() { failures <- r.writeSlowly(ctx, pool.Begin, each, uint64(w)) })
	}
	all.Wait()
	for range writers {
		if err := <-failures; err != nil {
			return err
		}
	}
	want := int64(writers * each)
	launch.Eventually(ctx, 30*time.Second, func() bool { return delivered.Load() >= want })
	pause(ctx, time.Second) // time for events that would come twice
	stop()
	control := <-naive
	r.figure("committed", "%d", want)
	r.figure("delivered", "%d", delivered.Load())
	r.figure("control", "%d", control)
	r.expect(delivered.Load() == want, "of %d events %d were delivered", want, delivered.Load())
	r.expect(control < int(want), "the control lost nothing, so this run proves nothing")
	// No worker may carry out these orders.
	return r.primary().exec(ctx, "TRUNCATE millrace.orders, millrace.order_items, millrace.order_steps, "+
		"millrace.order_events, millrace.order_commands, millrace.open_orders, millrace.river_job")
}

// writeSlowly places orders in transactions that stay open for a moment.
func (r *run) writeSlowly(ctx context.Context, begin func(context.Context) (pgx.Tx, error), n int, id uint64) error {
	random := rand.New(rand.NewPCG(r.seed, id))
	for range n {
		tx, err := begin(ctx)
		if err != nil {
			return err
		}
		s, err := store.New(store.Config{DB: tx})
		if err != nil {
			return err
		}
		if _, err := s.Orders.Place(ctx, []orders.Placement{{
			Principal: "faults", CustomerID: "1", Currency: orders.USD,
			Items: []orders.Item{{ProductID: 1, Quantity: 1, Price: 100}},
		}}); err != nil {
			return err
		}
		pause(ctx, time.Duration(random.Int64N(int64(20*time.Millisecond))))
		if err := tx.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

func lostCommits(ctx context.Context, r *run) error {
	if err := r.primary().proxy.poison(toxic{
		Type: lostCommitToxic, Stream: "downstream", Attributes: map[string]any{"rate": 0.3},
	}); err != nil {
		return err
	}
	err := r.serve(ctx, usual(size(r, 60, 1000), 10), nil)
	unanswered, replayed := r.unanswered()
	// A placement repeats a commit that is cut off, so few clients lose an answer. Orders are placed until one has.
	for wave := 1; err == nil && replayed == 0 && wave <= 50; wave++ {
		customers, scripts := r.newCustomers(), usual(20, 20).scripts(r.random)
		for i := range scripts {
			scripts[i].key = fmt.Sprintf("wave-%d-%s", wave, scripts[i].key)
		}
		customers.run(ctx, scripts)
		unanswered, replayed = r.unanswered()
	}
	r.figure("without an answer", "%d", unanswered)
	r.figure("found again", "%d", replayed)
	r.expect(replayed > 0, "no acknowledgement of a stored order was lost")
	return err
}

// unanswered counts the operations without an answer, and the operations whose repetition found the effect of the
// first try.
func (r *run) unanswered() (unanswered, replayed int) {
	for _, o := range r.journal.operations() {
		if !o.answered() {
			unanswered++
		}
		if o.Replayed {
			replayed++
		}
	}
	return unanswered, replayed
}

func badNetwork(ctx context.Context, r *run) error {
	down := func(kind string, toxicity float32, attributes map[string]any) toxic {
		return toxic{Type: kind, Stream: "downstream", Toxicity: toxicity, Attributes: attributes}
	}
	for n, level := range []struct {
		name   string
		toxics []toxic
	}{
		{"50 ms", []toxic{down("latency", 1, map[string]any{"latency": 50})}},
		{"200 ms", []toxic{down("latency", 1, map[string]any{"latency": 200})}},
		{"1000±500 ms", []toxic{down("latency", 1, map[string]any{"latency": 1000, "jitter": 500})}},
		{"resets", []toxic{down("reset_peer", 0.2, map[string]any{"timeout": 300})}},
		{"single bytes", []toxic{down("slicer", 1, map[string]any{"average_size": 1, "delay": 1})}},
	} {
		if err := r.primary().proxy.poison(level.toxics...); err != nil {
			return err
		}
		before := len(r.journal.operations())
		scripts := usual(size(r, 20, 200), 5).scripts(r.random)
		for i := range scripts {
			scripts[i].key = fmt.Sprintf("level-%d-%s", n, scripts[i].key)
		}
		r.newCustomers().run(ctx, scripts)
		var took []time.Duration
		for _, o := range r.journal.operations()[before:] {
			if o.Kind == opPlace && o.accepted() {
				took = append(took, time.Duration(o.Return-o.Call))
			}
		}
		slices.Sort(took)
		if len(took) > 0 {
			r.figure("p99 at "+level.name, "%.2f s", took[len(took)*99/100].Seconds())
		}
		if err := r.primary().proxy.heal(ctx); err != nil {
			return err
		}
	}
	return nil
}

func blackHole(ctx context.Context, r *run) error {
	var began, ended int64
	notReady := time.Duration(-1)
	err := r.serve(ctx, usual(size(r, 250, 600), 10), func(ctx context.Context) error {
		pause(ctx, 3*time.Second)
		if err := r.primary().proxy.blackHole(); err != nil {
			return err
		}
		began = r.journal.now()
		length := size(r, 10*time.Second, 30*time.Second)
		if launch.Eventually(ctx, length, func() bool {
			return r.ask(ctx, http.MethodGet, r.instances[0].url("/health/ready"), nil, nil) != nil
		}) {
			notReady = time.Duration(r.journal.now() - began)
		}
		pause(ctx, length-time.Duration(r.journal.now()-began))
		ended = r.journal.now()
		return r.primary().proxy.heal(ctx)
	})
	var slowest time.Duration
	for _, o := range r.journal.operations() {
		if o.Call > began && o.Call < ended && o.Kind == opPlace && o.Code != 0 {
			slowest = max(slowest, time.Duration(o.Return-o.Call))
		}
	}
	r.expect(notReady >= 0, "it was ready all the time")
	r.figure("not ready after", "%.1f s", notReady.Seconds())
	r.figure("slowest answer", "%.1f s", slowest.Seconds())
	r.figure("back after", "%.1f s", r.outage(ended).Seconds())
	return err
}
