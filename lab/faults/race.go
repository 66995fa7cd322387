package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

// raceRows are the rows about concurrent requests for the same thing.
func raceRows() []row {
	return []row{
		{
			id: "F37", name: "every order is cancelled, at a random moment of its life", short: true,
			expected: "cancelled or not, never both", run: cancelRaces,
		},
		{
			id: "F38", name: "many clients send the same placement under the same key, while instances are killed", short: true,
			expected: "one order per key", run: sameKey, needs: needs{instances: 3},
		},
		{
			id: "F39", name: "many buyers of the last ten pieces, while instances are killed", short: true,
			expected: "ten are sold", run: oversell, needs: needs{instances: 3},
		},
		{
			id: "F40", name: "orders are read through all caches while they change, with listeners cut", short: true,
			expected: "an instance never forgets its own writes, and no other is 5 s behind", run: staleReads,
			needs: needs{instances: 3},
		},
		{
			id: "F41", name: "400 reads of an order that is in no cache, at once", short: true,
			expected: "one query", run: stampede, needs: needs{instances: 1},
		},
	}
}

func cancelRaces(ctx context.Context, r *run) error {
	slow := map[string]any{"latencyMs": 20, "jitterMs": 60}
	if err := r.setFaults(ctx, faults{"payment": slow, "inventory": slow, "shipping": slow}); err != nil {
		return err
	}
	return r.serve(ctx, load{
		orders: size(r, 200, 10_000), rate: size(r, 20.0, 40), cancelled: 1, cancelWithin: 700 * time.Millisecond,
	}, nil)
}

func (r *run) killEvery(ctx context.Context, least, most time.Duration) error {
	err := r.every(ctx, least, most, func() error { return r.restart(ctx, r.any(r.random)) })
	r.figure("kills", "%d", r.kills)
	return err
}

func sameKey(ctx context.Context, r *run) error {
	scripts := load{orders: size(r, 20, 400), rate: size(r, 4.0, 8)}.scripts(r.random)
	var all []script
	for _, s := range scripts {
		for range size(r, 16, 64) {
			all = append(all, s)
		}
	}
	killing, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- r.killEvery(killing, time.Second, 3*time.Second) }()
	r.newCustomers().run(ctx, all)
	stop()
	if err := <-failed; err != nil {
		return err
	}
	stored, err := r.primary().number(ctx, "SELECT count(*) FROM millrace.orders")
	r.figure("keys", "%d", len(scripts))
	r.figure("requests", "%d", len(r.journal.operations()))
	r.expect(stored == len(scripts), "%d keys made %d orders", len(scripts), stored)
	return err
}

func oversell(ctx context.Context, r *run) error {
	const pieces = 10
	if err := r.ask(ctx, http.MethodPut, r.simulatorURL("/inventory/stock"),
		map[string]any{"productId": 7, "quantity": pieces}, nil); err != nil {
		return err
	}
	l := load{orders: size(r, 80, 500), rate: size(r, 20.0, 25), body: map[string]any{
		"items": []map[string]any{{"productId": 7, "quantity": 1, "price": 5}},
	}}
	err := r.serve(ctx, l, func(ctx context.Context) error { return r.killEvery(ctx, time.Second, 3*time.Second) })
	if err != nil {
		return err
	}
	var sold int
	launch.Eventually(ctx, 2*time.Minute, func() bool {
		open, err := r.open(ctx)
		return err == nil && open == 0
	})
	sold, err = r.primary().number(ctx, "SELECT count(*) FROM millrace.orders WHERE status = 'completed'")
	r.figure("sold", "%d", sold)
	r.expect(sold == pieces, "%d pieces were sold of %d", sold, pieces)
	return err
}

// staleReads changes orders through one instance and reads them through all.
func staleReads(ctx context.Context, r *run) error {
	const bound = 5 * time.Second // a cache without news is bypassed after 2 s; the rest is for a slow machine
	cutting, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_ = r.every(cutting, 200*time.Millisecond, time.Second, func() error {
			_, err := r.primary().number(cutting, "SELECT count(pg_terminate_backend(pid)) "+listeners)
			return err
		})
	}()
	scripts := load{
		orders: size(r, 60, 1200), rate: 10, cancelled: 1, cancelWithin: 50 * time.Millisecond,
	}.scripts(r.random)
	writer := r.instances[0]
	customers := r.newCustomers()
	customers.via = writer
	var reads, stale, forgotten atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for _, s := range scripts {
		pause(ctx, time.Until(start.Add(s.after)))
		all.Go(func() {
			placed := customers.send(ctx, operation{Kind: opPlace, Order: s.key, Key: s.key}, "/api/orders", s.body)
			path := "/api/orders/" + placed.ID
			var read answer
			for _, i := range r.instances { // now all instances have it in their caches
				_ = r.ask(ctx, http.MethodGet, i.url(path), nil, &read)
			}
			pause(ctx, s.cancel)
			cancel := operation{Kind: opCancel, Order: s.key, Key: "cancel-" + s.key}
			cancelled := customers.send(ctx, cancel, path+"/cancel", nil)
			if !cancelled.accepted() {
				return
			}
			written := time.Now()
			for n := 0; time.Since(written) < bound+time.Second; n++ {
				i := r.instances[n%len(r.instances)]
				asked := time.Now()
				if r.ask(ctx, http.MethodGet, i.url(path), nil, &read) != nil {
					continue
				}
				reads.Add(1)
				switch old := read.Version < cancelled.Version; {
				case old && i == writer:
					forgotten.Add(1)
				case old && asked.Sub(written) > bound:
					stale.Add(1)
				}
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	all.Wait()
	r.figure("reads", "%d", reads.Load())
	r.expect(forgotten.Load() == 0, "%d reads were older than what their instance had written", forgotten.Load())
	r.expect(stale.Load() == 0, "%d reads were %s behind", stale.Load(), bound)
	return nil
}

func stampede(ctx context.Context, r *run) error {
	if err := r.serve(ctx, load{orders: 1, rate: 1}, nil); err != nil {
		return err
	}
	if !launch.Eventually(ctx, time.Minute, func() bool {
		open, err := r.open(ctx)
		return err == nil && open == 0
	}) {
		return fmt.Errorf("the order does not end")
	}
	id := r.journal.operations()[0].ID
	const scans = "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE query LIKE '%OrdersRead %'"
	if err := r.primary().exec(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return err
	}
	if err := r.restart(ctx, r.instances[0]); err != nil { // with an empty cache
		return err
	}
	pause(ctx, 3*time.Second) // until its feed has caught up
	before, err := r.primary().number(ctx, scans)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var failed atomic.Int64
	for range 400 { // below the number of concurrent requests that are admitted
		all.Go(func() {
			if r.ask(ctx, http.MethodGet, r.instances[0].url("/api/orders/"+id), nil, nil) != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	after, err := r.primary().number(ctx, scans)
	r.figure("queries", "%d", after-before)
	r.expect(failed.Load() == 0, "%d reads failed", failed.Load())
	r.expect(after-before == 1, "%d queries for one order", after-before)
	return err
}
