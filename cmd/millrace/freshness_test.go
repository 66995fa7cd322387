package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// allowed is how old an answer may be: the cache is bypassed while the feed is further behind.
const allowed = 2 * time.Second

// history is which versions of which orders were known to be committed, and since when.
type history struct {
	mu     sync.Mutex
	orders []orders.ID
	since  map[orders.ID][]time.Time // of versions 1, 2, 3 …
}

func (h *history) add(id orders.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.since[id]) == 0 {
		h.orders = append(h.orders, id)
	}
	h.since[id] = append(h.since[id], time.Now())
}

// pick is one of the last orders, with the versions it had a while ago and has now.
func (h *history) pick(ago time.Duration) (id orders.ID, then, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.orders) == 0 {
		return id, 0, 0
	}
	id = h.orders[max(0, len(h.orders)-1-rand.N(10))]
	moment := time.Now().Add(-ago)
	for _, since := range h.since[id] {
		if since.Before(moment) {
			then++
		}
	}
	return id, then, int64(len(h.since[id]))
}

// TestFreshness reads from two processes what a third writes, while their listeners are cut and old transactions hold
// up their feeds. No answer is older than allowed, and none older than what its reader asks for.
func TestFreshness(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 8)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	var readers []*instance
	for range 2 {
		readers = append(readers, startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
			"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--rate-limit", "0"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	known := &history{since: map[orders.ID][]time.Time{}}
	var wg sync.WaitGroup
	wg.Go(func() { writeOrders(ctx, t, pool, known) })
	wg.Go(func() { cutListeners(ctx, pool) })
	wg.Go(func() { holdFeedUp(ctx, pool) })

	var reads, old, tooOld, broken atomic.Int64
	wg.Go(func() { // until the run proves something, which depends on the machine
		defer cancel()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for begun := time.Now(); ctx.Err() == nil && (time.Since(begun) < 8*time.Second || old.Load() == 0); {
			<-tick.C
		}
	})
	for _, m := range readers {
		for i := range 2 {
			wg.Go(func() {
				// Often enough to meet a cache that is behind, and leaves the machine to the other tests.
				every := time.NewTicker(10 * time.Millisecond)
				defer every.Stop()
				for ; ctx.Err() == nil; <-every.C {
					id, then, now := known.pick(allowed)
					var header []string
					if i == 0 {
						header = []string{"Minimum-Version", strconv.FormatInt(max(now, 1), 10)}
					}
					status, answer, _ := do(t, http.MethodGet, m.api+"/api/orders/"+id.String(), "", header...)
					if now == 0 || status == http.StatusServiceUnavailable {
						continue // nothing is written yet, or the machine has too much to do
					}
					version, _ := strconv.ParseInt(strings.Trim(answer.Get("ETag"), `"`), 10, 64)
					reads.Add(1)
					switch {
					case status != http.StatusOK || i == 0 && version < now:
						broken.Add(1)
					case version < then:
						tooOld.Add(1)
					case version < now:
						old.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	t.Logf("%d reads, %d of them behind by less than %s", reads.Load(), old.Load(), allowed)
	require.Zero(t, broken.Load(), "older than the version that was asked for")
	require.Zero(t, tooOld.Load(), "older than allowed")
	require.NotZero(t, old.Load(), "nothing was ever read from a cache that was behind, so this run proves nothing")
}

// writeOrders places orders and takes them through their first steps, a few at a time.
func writeOrders(ctx context.Context, t *testing.T, pool *pgxpool.Pool, known *history) {
	t.Helper()
	bell := store.NewDoorbell(pool, slog.New(slog.DiscardHandler))
	go bell.Run(ctx)
	s, err := store.New(store.Config{DB: pool, Doorbell: bell})
	if err != nil {
		t.Error(err)
		return
	}
	for ctx.Err() == nil {
		placed, err := s.Orders.Place(ctx, []orders.Placement{storetest.Placement()})
		if err != nil {
			continue
		}
		id := placed[0].Order.ID
		known.add(id)
		for _, step := range []orders.StepName{orders.AuthorizePayment, orders.ReserveInventory, orders.QuoteShipping} {
			pause := time.NewTimer(rand.N(400 * time.Millisecond)) // a provider's answer
			select {
			case <-pause.C:
			case <-ctx.Done():
				return
			}
			if _, err := s.Orders.Apply(ctx, []orders.Event{storetest.Outcome(id, step, orders.StepSucceeded)}); err == nil {
				known.add(id)
			}
		}
	}
}

func cutListeners(ctx context.Context, pool *pgxpool.Pool) {
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	for ctx.Err() == nil {
		_, _ = pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND query ILIKE 'listen %'`)
		select {
		case <-every.C:
		case <-ctx.Done():
		}
	}
}

// holdFeedUp keeps transactions open for longer than the cache tolerates.
func holdFeedUp(ctx context.Context, pool *pgxpool.Pool) {
	for ctx.Err() == nil {
		_, _ = pool.Exec(ctx, "SELECT pg_current_xact_id(), pg_sleep(4)")
		_, _ = pool.Exec(ctx, "SELECT pg_sleep(0.5)")
	}
}
