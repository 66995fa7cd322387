package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-orders/millrace/lab/internal/launch"
)

const (
	replicaLag  = 3 * time.Second
	browseAfter = replicaLag + 1500*time.Millisecond // a probe and a half later than the replica has replayed a write
	browseReads = 5
)

// browsing is what customers saw that read their orders back from lists.
type browsing struct{ lists, stale atomic.Int64 }

// laggingReplica has customers place orders, and read them back from lists, while the replica is behind.
func laggingReplica(ctx context.Context, r *run) error {
	if err := r.primary().exec(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return err
	}
	if err := r.standby().set(ctx, "recovery_min_apply_delay", "'3s'"); err != nil {
		return err
	}
	saw := new(browsing)
	err := r.serve(ctx, usual(size(r, 100, 300), 10), func(ctx context.Context) error {
		var all sync.WaitGroup
		for n := range size(r, 10, 20) {
			all.Go(func() {
				random := rand.New(rand.NewPCG(r.seed, uint64(n)))
				for round := 0; ctx.Err() == nil; round++ {
					r.browse(ctx, fmt.Sprintf("browser-%d", n), round, random, saw)
				}
			})
		}
		all.Wait()
		return nil
	})
	if err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	replica, err := r.counted(ctx, "millrace_replica_reads_total")
	if err != nil {
		return err
	}
	stale, err := r.counted(ctx, `millrace_replica_fallbacks_total{reason="stale"}`)
	if err != nil {
		return err
	}
	primary, err := r.primary().number(ctx, "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements "+
		"WHERE query LIKE '%OrdersListByCustomer%' AND query NOT LIKE '%pg_stat_statements%'")
	if err != nil {
		return err
	}
	lists := int(saw.lists.Load())
	r.figure("lists", "%d", lists)
	r.figure("from the replica", "%d", replica)
	r.figure("from the primary, because the replica was behind", "%d", stale)
	r.figure("stale reads", "%d", saw.stale.Load())
	r.expect(saw.stale.Load() == 0, "%d of %d lists lacked their own caller's order", saw.stale.Load(), lists)
	r.expect(replica > 0 && stale > 0, "%d reads from the replica and %d fallbacks prove nothing", replica, stale)
	r.expect(primary <= lists-replica, "the primary listed %d times, although the replica answered %d of %d lists",
		primary, replica, lists)
	return nil
}

// browse places an order, and reads it back at once, and again when the replica should have it.
func (r *run) browse(ctx context.Context, customer string, round int, random *rand.Rand, saw *browsing) {
	name := fmt.Sprintf("%s-%d", customer, round)
	place := operation{Kind: opPlace, Order: name, Key: name}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // texts and numbers
		"customerId": customer, "items": []map[string]any{{"productId": 1, "quantity": 1, "price": json.Number("29.99")}},
	})
	place.Call = r.journal.now()
	code, text, seen := r.read(ctx, http.MethodPost, r.any(random).url("/api/orders"), body, place.Key, "")
	place.Code, place.Return = code, r.journal.now()
	_ = json.Unmarshal(text, &place.answer)
	r.journal.write(place)
	if !place.accepted() {
		return
	}
	for i := range browseReads {
		if i == 1 && !pause(ctx, browseAfter) {
			return
		}
		url := r.any(random).url("/api/customers/" + customer + "/orders")
		code, text, reached := r.read(ctx, http.MethodGet, url, nil, "", seen)
		if code != http.StatusOK {
			return
		}
		saw.lists.Add(1)
		if !strings.Contains(string(text), place.ID) {
			saw.stale.Add(1)
		}
		seen = reached
	}
}

// read sends a request with what the caller has seen, and returns what it has seen then.
func (r *run) read(
	ctx context.Context, method, url string, body []byte, key, seen string,
) (code int, text []byte, reached string) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(string(body)))
	if err != nil {
		return 0, nil, seen
	}
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	if seen != "" {
		request.Header.Set("Millrace-Position", seen)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return 0, nil, seen
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, seen
	}
	return response.StatusCode, text, response.Header.Get("Millrace-Position")
}

// counted sums up a counter over all instances.
func (r *run) counted(ctx context.Context, name string) (sum int, err error) {
	for _, i := range slices.Clone(r.instances) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+launch.Address(i.ops)+"/metrics", nil)
		if err != nil {
			return 0, err
		}
		response, err := r.client.Do(request)
		if err != nil {
			return 0, err
		}
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), name) {
				value, _ := strconv.ParseFloat(lines.Text()[strings.LastIndexByte(lines.Text(), ' ')+1:], 64)
				sum += int(value)
			}
		}
		response.Body.Close()
		if err := lines.Err(); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
