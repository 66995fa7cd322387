package api_test

import (
	"bufio"
	"context"
	"flag"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

var (
	cutSeed    = flag.Uint64("cut.seed", uint64(time.Now().UnixNano()), "seed of TestCutStreams")
	cutStreams = flag.Int("cut.streams", 50, "streams of TestCutStreams")
	cutFor     = flag.Duration("cut.for", 3*time.Second, "how long TestCutStreams cuts")
)

// cutReader follows the feed as a browser does, is cut off at random, and resumes.
type cutReader struct {
	t        *testing.T
	h        *harness
	random   *rand.Rand
	cursor   string
	versions map[orders.ID]int64
	events   int
	cuts     int
	repeated int
	ended    atomic.Bool // it has seen the last event of all
}

// run follows until the last event of all.
func (c *cutReader) run(ctx context.Context, last *atomic.Pointer[orders.ID], cutting *atomic.Bool) {
	for ctx.Err() == nil && !c.ended.Load() {
		connection, cut := context.WithCancel(ctx)
		if cutting.Load() {
			// 100 of them a second, however many there are: to connect takes more of the machine than to follow.
			time.AfterFunc(time.Duration(c.random.Int64N(int64(*cutStreams)*2*int64(time.Second)/100)), cut)
			c.cuts++
		}
		if !c.read(connection, last) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		cut()
	}
}

// read is false if there was no stream: there are too many at the moment, or it was cut before it began.
func (c *cutReader) read(ctx context.Context, last *atomic.Pointer[orders.ID]) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.h.URL+"/api/events", nil)
	if err != nil {
		c.t.Error(err)
		return false
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Last-Event-ID", c.cursor)
	response, err := c.h.Client().Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false
	}
	lines := bufio.NewScanner(response.Body)
	var m message
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if m.event != "" {
				c.deal(m, last)
			}
			m = message{}
		}
		if c.ended.Load() {
			break
		}
	}
	return true
}

func (c *cutReader) deal(m message, last *atomic.Pointer[orders.ID]) {
	c.cursor = m.id
	if m.event == "cursor" {
		return
	}
	e := m.decode(c.t)
	switch seen := c.versions[e.OrderID]; {
	case e.Version <= seen:
		c.repeated++
	case e.Version > seen+1:
		c.t.Errorf("order %s: version %d after %d", e.OrderID, e.Version, seen)
	default:
		c.versions[e.OrderID] = e.Version
		c.events++
	}
	if id := last.Load(); id != nil && *id == e.OrderID && e.Version > 1 {
		c.ended.Store(true)
	}
}

// TestCutStreams cuts many readers of the feed at random while orders come in. When it is over each has had every event
// once and in order.
func TestCutStreams(t *testing.T) {
	t.Parallel()
	t.Logf("-cut.seed %d", *cutSeed)
	h := live(t, func(c *api.Config) { c.MaxStreams = 2 * *cutStreams })
	cursor := h.page(t, "").Next
	var last atomic.Pointer[orders.ID]
	var cutting atomic.Bool
	cutting.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var following sync.WaitGroup
	readers := make([]*cutReader, *cutStreams)
	for i := range readers {
		readers[i] = &cutReader{
			t: t, h: h, random: rand.New(rand.NewPCG(*cutSeed, uint64(i))), cursor: cursor, versions: map[orders.ID]int64{},
		}
		following.Go(func() { readers[i].run(ctx, &last, &cutting) })
	}
	for begun := time.Now(); time.Since(begun) < *cutFor; {
		placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{storetest.Placement()})
		if err != nil {
			continue // the machine has too much to do; whether it was written shows below
		}
		for _, e := range completion(placed[0].Order.ID) {
			_, _ = h.store.Orders.Apply(t.Context(), []orders.Event{e})
		}
	}
	cutting.Store(false)
	var id orders.ID
	require.Eventually(t, func() bool {
		placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{storetest.Placement()})
		if err == nil {
			id = placed[0].Order.ID
		}
		return err == nil
	}, time.Minute, time.Second)
	last.Store(&id)
	// Its second event comes when readers know which order is the last; its first one may have come before.
	require.Eventually(t, func() bool {
		_, err := h.store.Orders.Apply(t.Context(), completion(id)[:1])
		return err == nil
	}, time.Minute, time.Second)
	following.Wait()
	var written int
	require.NoError(t, h.pool.QueryRow(t.Context(), "SELECT count(*) FROM order_events").Scan(&written))
	cuts, repeated := 0, 0
	for _, r := range readers {
		require.Equal(t, written, r.events)
		cuts, repeated = cuts+r.cuts, repeated+r.repeated
	}
	t.Logf("%d streams, cut %d times, had all %d events each; %d came twice", *cutStreams, cuts, written, repeated)
	require.Zero(t, repeated, "a cursor resumes exactly")
}
