package api_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// message is one thing that came over a stream: an event, or a comment.
type message struct{ id, event, data, comment, retry string }

type openStream struct {
	*http.Response
	lines *bufio.Reader
}

// open follows an order's events. What it reads is bounded by the test's own deadline.
func (h *harness) open(t *testing.T, id orders.ID, query string, header ...string) *openStream {
	t.Helper()
	return h.follow(t, "/api/orders/"+id.String()+"/events"+query, header...)
}

// follow opens the event stream of a path.
func (h *harness) follow(t *testing.T, path string, header ...string) *openStream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+path, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := h.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return &openStream{response, bufio.NewReader(response.Body)}
}

// openSoon follows a path on a server with short deadlines, which may end before the stream has begun: then again.
func (h *harness) openSoon(t *testing.T, path string) *openStream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+path, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	response := h.sendUntil(t, r, func(status int) bool { return status == http.StatusOK })
	t.Cleanup(func() { response.Body.Close() })
	return &openStream{response, bufio.NewReader(response.Body)}
}

// next reads up to the next empty line; ok is false at the end of the stream.
func (s *openStream) next(t *testing.T) (m message, ok bool) {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		if err == io.EOF {
			return m, false
		}
		require.NoError(t, err)
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "\n":
			return m, true
		case name == "":
			m.comment = value
		case name == "id":
			m.id = value
		case name == "event":
			m.event = value
		case name == "data":
			m.data = value
		case name == "retry":
			m.retry = value
		}
	}
}

// events reads that many events, past everything else.
func (s *openStream) events(t *testing.T, n int) (events []message) {
	t.Helper()
	for len(events) < n {
		m, ok := s.next(t)
		require.True(t, ok, "the stream ended after %v", events)
		if m.event != "" && m.event != "cursor" {
			events = append(events, m)
		}
	}
	return events
}

// cursor reads up to where the stream says where it is.
func (s *openStream) cursor(t *testing.T) string {
	t.Helper()
	for {
		m, ok := s.next(t)
		require.True(t, ok)
		if m.event == "cursor" {
			require.JSONEq(t, `{"next":"`+m.id+`"}`, m.data)
			return m.id
		}
		require.Empty(t, m.event)
	}
}

// rest reads the stream to its end and returns the events.
func (s *openStream) rest(t *testing.T) (events []message) {
	t.Helper()
	for {
		m, ok := s.next(t)
		if !ok {
			return events
		}
		if m.event != "" && m.event != "cursor" {
			events = append(events, m)
		}
	}
}

// live is an API with a running feed, on a database of its own.
func live(t *testing.T, change ...func(*api.Config)) *harness {
	t.Helper()
	h, feed := beforeFeed(t, change...)
	feed()
	return h
}

// beforeFeed is an API whose feed does not run yet. What it returns lets it run, and waits until it has begun.
func beforeFeed(t *testing.T, change ...func(*api.Config)) (h *harness, run func()) {
	t.Helper()
	pool := storetest.Pool(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var bell *store.Doorbell
	var feed *store.Feed
	h = serve(t, pool, append([]func(*api.Config){func(c *api.Config) {
		feed = store.NewFeed(pool, c.Logger, nil)
		bell = store.NewDoorbell(pool, c.Logger)
		s, err := store.New(store.Config{DB: pool, Doorbell: bell, Feed: feed})
		require.NoError(t, err)
		c.Feed, c.Store = feed, s
	}}, change...)...)
	s, err := store.New(store.Config{DB: pool, Doorbell: bell})
	require.NoError(t, err)
	h.store = s
	t.Cleanup(func() {
		h.api.Drain()
		cancel()
		running.Wait()
	})
	return h, func() {
		running.Go(func() { bell.Run(ctx) })
		running.Go(func() { feed.Run(ctx) })
		<-feed.Begun()
	}
}

// What happened between the opening of a stream and the beginning of the feed reaches it, and in its place.
func TestStreamBeforeFeed(t *testing.T) {
	t.Parallel()
	h, run := beforeFeed(t, func(c *api.Config) { c.Heartbeat = time.Hour })
	all := h.follow(t, "/api/events")
	all.cursor(t)
	id := storetest.Order(t, h.store).ID
	one := h.open(t, id, "")
	one.events(t, 1)
	h.apply(t, succeeded(id, orders.AuthorizePayment)...)
	run()
	require.Equal(t, int64(1), all.events(t, 1)[0].decode(t).Version)
	for _, s := range []*openStream{one, all} {
		require.Equal(t, int64(2), s.events(t, 1)[0].decode(t).Version)
	}
	h.apply(t, succeeded(id, orders.ReserveInventory)...)
	for _, s := range []*openStream{one, all} {
		require.Equal(t, int64(3), s.events(t, 1)[0].decode(t).Version)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	h := live(t)
	id := storetest.Order(t, h.store).ID

	s := h.open(t, id, "")
	require.Equal(t, http.StatusOK, s.StatusCode)
	require.Equal(t, "text/event-stream", s.Header.Get("Content-Type"))
	require.Equal(t, "no", s.Header.Get("X-Accel-Buffering"))
	require.Equal(t, "no-cache", s.Header.Get("Cache-Control"))
	m, _ := s.next(t)
	require.Equal(t, "1000", m.retry)
	m, _ = s.next(t)
	require.Equal(t, "OrderCreated", m.event)
	require.Equal(t, "1", m.id)
	require.Contains(t, m.data, `"status":"pending"`)

	h.apply(t, succeeded(id, orders.AuthorizePayment)...)
	m = s.events(t, 1)[0]
	require.Equal(t, "OrderStatusUpdated", m.event)
	require.Contains(t, m.data, `"progress":20`)
	require.Contains(t, m.data, `"step":"authorize_payment"`)
	require.Contains(t, m.data, `"orderId":"`+id.String()+`"`)

	h.apply(t, succeeded(id, orders.ReserveInventory)...)
	m = s.events(t, 1)[0]
	require.Equal(t, "OrderProcessingProgress", m.event)

	// It ends when the e-mail is out, not when the order is at rest.
	h.apply(t, completion(id)[2:]...)
	h.apply(t, succeeded(id, orders.SendEmail)...)
	rest := s.rest(t)
	require.Len(t, rest, 4)
	require.Equal(t, "7", rest[3].id)
	require.Contains(t, rest[2].data, `"status":"completed"`)

	// A client that reconnects misses nothing, and one that has everything is told to stay away.
	require.Len(t, h.open(t, id, "", "Last-Event-ID", "3").rest(t), 4)
	require.Len(t, h.open(t, id, "?after=5").rest(t), 2)
	require.Len(t, h.open(t, id, "?after=1", "Last-Event-ID", "6").rest(t), 1)
	require.Equal(t, http.StatusNoContent, h.open(t, id, "", "Last-Event-ID", "7").StatusCode)
	require.Contains(t, h.do(t, http.MethodGet, "/api/orders/"+id.String(), "").body, `"progress":100`)
}

// What has been pruned of an order that is finished is not waited for.
func TestStreamOfPrunedEvents(t *testing.T) {
	t.Parallel()
	h := live(t)
	id := storetest.Order(t, h.store).ID
	h.apply(t, completion(id)...)
	require.Equal(t, "3", h.open(t, id, "?after=2").events(t, 1)[0].id)
	_, err := h.pool.Exec(t.Context(), "DELETE FROM order_events")
	require.NoError(t, err)
	open := h.open(t, id, "?after=2")
	_, ok := open.next(t)
	require.True(t, ok)
	h.apply(t, succeeded(id, orders.SendEmail)...)
	require.Equal(t, "7", open.events(t, 1)[0].id, "what is left")
	require.Empty(t, open.rest(t))

	require.Len(t, h.open(t, id, "?after=2").rest(t), 1)
	_, err = h.pool.Exec(t.Context(), "DELETE FROM order_events")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, h.open(t, id, "?after=2").StatusCode)
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) { c.MaxStreams = 1 })
	id := storetest.Order(t, h.store).ID
	first := h.open(t, id, "")
	_, ok := first.next(t)
	require.True(t, ok)
	require.Contains(t, h.metrics(t), "millrace_streams 1")
	require.Contains(t, h.metrics(t), "millrace_http_requests_in_flight 0")

	got := h.do(t, http.MethodGet, "/api/orders/"+id.String()+"/events", "", "Accept", "text/event-stream")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "too_many_streams", got.problem(t).Code)
	require.Equal(t, "1", got.header.Get("Retry-After"))

	first.Body.Close()
	require.Eventually(t, func() bool { return h.open(t, id, "").StatusCode == http.StatusOK },
		time.Minute, 10*time.Millisecond, "a closed stream makes room")
}

func TestStreamHead(t *testing.T) {
	t.Parallel()
	h := live(t)
	path := "/api/orders/" + storetest.Order(t, h.store).ID.String() + "/events"
	got := h.do(t, http.MethodHead, path, "", "Accept", "text/event-stream")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "text/event-stream", got.header.Get("Content-Type"))
}

func TestStreamNegotiation(t *testing.T) {
	t.Parallel()
	h := live(t)
	id := storetest.Order(t, h.store).ID
	h.apply(t, completion(id)...)
	h.apply(t, succeeded(id, orders.SendEmail)...)
	for accept, want := range map[string]string{
		"":                         "application/json",
		"*/*":                      "application/json",
		"text/*, application/json": "application/json",
		"text/event-stream":        "text/event-stream",
		"text/event-stream, */*":   "text/event-stream",
		"text/event-stream;q=0.5, application/json": "application/json",
		"text/event-stream;q=0, */*":                "application/json",
		"image/png":                                 "application/problem+json",
	} {
		s := h.open(t, id, "", "Accept", accept)
		require.Equal(t, want, s.Header.Get("Content-Type"), accept)
	}
}
