package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (m message) decode(t *testing.T) (e api.OrderEvent) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(m.data), &e), m.data)
	require.Equal(t, string(e.Type), m.event)
	return e
}

func (h *harness) page(t *testing.T, query string, header ...string) (page api.EventPage) {
	t.Helper()
	got := h.do(t, http.MethodGet, "/api/events"+query, "", header...)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.NoError(t, json.Unmarshal([]byte(got.body), &page))
	return page
}

// A stream of everything begins with now, and resumes where it was, in any order of living and catching up.
func TestFeedStream(t *testing.T) {
	t.Parallel()
	h := live(t)
	s := h.follow(t, "/api/events")
	require.Equal(t, "text/event-stream", s.Header.Get("Content-Type"))
	cursor := s.cursor(t)

	var ids []orders.ID
	for range 3 {
		ids = append(ids, storetest.Order(t, h.store).ID)
	}
	h.apply(t, succeeded(ids[1], orders.AuthorizePayment)...)
	all := s.events(t, 4)
	for i, id := range append(ids, ids[1]) {
		e := all[i].decode(t)
		require.Equal(t, id, e.OrderID)
		require.Equal(t, int64(1+i/3), e.Version)
	}
	s.Body.Close()

	h.apply(t, succeeded(ids[1], orders.ReserveInventory)...)
	for from, cursor := range append([]string{cursor}, all[0].id, all[1].id, all[2].id, all[3].id) {
		again := h.follow(t, "/api/events?after=start", "Last-Event-ID", cursor)
		got := again.events(t, 5-from)
		require.Equal(t, all[from:], got[:4-from], "nothing twice, nothing left out")
		require.Equal(t, int64(3), got[4-from].decode(t).Version)
		again.Body.Close()
	}
	s = h.follow(t, "/api/events?after="+url.QueryEscape(all[3].id))
	s.events(t, 1)
	h.apply(t, succeeded(ids[0], orders.AuthorizePayment)...)
	require.Equal(t, ids[0], s.events(t, 1)[0].decode(t).OrderID)
	require.Len(t, h.follow(t, "/api/events?after=start").events(t, 6), 6)
}

// One process reads the log once, however many streams there are.
func TestFeedStreamsShareOneReader(t *testing.T) {
	t.Parallel()
	const all = 15
	h := live(t, func(c *api.Config) { c.Heartbeat = time.Hour }) // with which a stream may look for itself
	id := storetest.Order(t, h.store).ID
	require.Eventually(t, func() bool { // or the streams begin before it: another test's transaction may hold up the log
		return len(h.page(t, "?after=start").Events) == 1
	}, time.Minute, time.Millisecond)
	var streams []*openStream
	for range all {
		s := h.follow(t, "/api/events")
		s.cursor(t)
		one := h.open(t, id, "?after=1")
		streams = append(streams, s, one)
	}
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_stream_catch_ups_total 30") },
		time.Minute, 10*time.Millisecond)
	h.apply(t, completion(id)[:3]...)
	for _, s := range streams {
		for version := int64(0); version < 4; version = s.events(t, 1)[0].decode(t).Version {
		}
	}
	require.Contains(t, h.metrics(t), "millrace_stream_catch_ups_total 30")
}

func TestFeedFilters(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
		c.Heartbeat = 50 * time.Millisecond
	})
	customer := []string{"Authorization", "Bearer " + h.key(t, roles.Customer)}
	viewer := []string{"Authorization", "Bearer " + h.key(t, roles.Viewer)}
	streams := map[*openStream]func(api.OrderEvent) bool{}
	ids := map[string][]orders.ID{}
	isOwn := func(e api.OrderEvent) bool {
		return e.OrderID == ids[ownCustomer][0] || e.OrderID == ids[ownCustomer][1]
	}
	isStatus := func(e api.OrderEvent) bool { return e.Type == "OrderStatusUpdated" }
	for query, want := range map[string]func(api.OrderEvent) bool{
		"":                         func(api.OrderEvent) bool { return true },
		"?customerId=1":            isOwn,
		"?type=OrderStatusUpdated": isStatus,
		"?customerId=1&type=OrderStatusUpdated&type=OrderCreated": func(e api.OrderEvent) bool {
			return isOwn(e) && e.Type != "OrderProcessingProgress"
		},
	} {
		streams[h.follow(t, "/api/events"+query, viewer...)] = want
	}
	streams[h.follow(t, "/api/events", customer...)] = isOwn
	streams[h.follow(t, "/api/events?customerId=1&type=OrderStatusUpdated", customer...)] = func(e api.OrderEvent) bool {
		return isOwn(e) && isStatus(e)
	}
	start := map[*openStream]string{}
	for s := range streams {
		require.Equal(t, http.StatusOK, s.StatusCode)
		start[s] = s.cursor(t)
	}

	for range 2 {
		for _, who := range []string{ownCustomer, otherCustomer} {
			id := h.placeFor(t, who)
			ids[who] = append(ids[who], id)
			h.apply(t, completion(id)...)
		}
	}
	var all []api.OrderEvent
	for cursor := "start"; len(all) < 24; {
		page := h.page(t, "?wait=20&limit=7&after="+cursor, viewer...)
		all, cursor = append(all, page.Events...), page.Next
	}
	end := h.page(t, "", viewer...).Next
	for s, wanted := range streams {
		var want []api.OrderEvent
		for _, e := range all {
			if wanted(e) {
				want = append(want, e)
			}
		}
		for i, m := range s.events(t, len(want)) {
			require.Equal(t, want[i], m.decode(t), s.Request.URL)
		}
		// Heartbeats bring a cursor that is further on than the last event, if that did not concern the stream.
		if !wanted(all[len(all)-1]) {
			for len(h.page(t, "?after="+s.cursor(t), viewer...).Events) > 0 { // until all of it has been heard of
			}
		}
		// The pages of the same query have the same.
		query := s.Request.URL.Query()
		query.Set("after", start[s])
		require.Equal(t, want, h.page(t, "?"+query.Encode(), "Authorization", s.Request.Header.Get("Authorization")).Events)
	}
	require.Empty(t, h.page(t, "?after="+end, viewer...).Events)

	for _, accept := range []string{"application/json", "text/event-stream"} {
		header := append([]string{"Accept", accept}, customer...)
		got := h.do(t, http.MethodGet, "/api/events?customerId="+otherCustomer, "", header...)
		require.Equal(t, http.StatusForbidden, got.status)
	}
	got := h.do(t, http.MethodGet, "/api/events?type=OrderTeleported", "", viewer...)
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	got = h.do(t, http.MethodGet, "/api/events?limit=1&limit=2", "", viewer...)
	require.Equal(t, http.StatusBadRequest, got.status, "only type is a list")
}

func TestFeedWaits(t *testing.T) {
	t.Parallel()
	h := live(t)
	server := httptest.NewUnstartedServer(h.api)
	server.Config.WriteTimeout, server.Config.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	patient := h.Server
	h.Server = server
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/api/events?wait=1", nil)
	require.NoError(t, err)
	response := h.sendUntil(t, r, func(status int) bool { return status == http.StatusOK })
	defer response.Body.Close()
	var page api.EventPage
	require.NoError(t, json.NewDecoder(response.Body).Decode(&page))
	require.Empty(t, page.Events, "nothing happens")
	h.Server = patient // its deadlines may end before a request has arrived
	cursor := page.Next
	ask := func(query string) <-chan string {
		answers := make(chan string, 1)
		go func() {
			defer close(answers)
			response, err := h.Client().Get(h.URL + "/api/events?wait=30&after=" + query)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Error(err)
			}
			answers <- string(body)
		}()
		return answers
	}
	answers := ask(cursor + "&type=OrderStatusUpdated")
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 1") },
		time.Minute, 10*time.Millisecond)
	id := storetest.Order(t, h.store).ID // is not of the type
	h.apply(t, succeeded(id, orders.AuthorizePayment)...)
	page = api.EventPage{}
	require.NoError(t, json.Unmarshal([]byte(<-answers), &page))
	require.Len(t, page.Events, 1)
	require.Equal(t, int64(2), page.Events[0].Version)
	require.Contains(t, h.metrics(t), "millrace_streams 0")

	answers = ask(page.Next)
	require.Eventually(t, func() bool { return strings.Contains(h.metrics(t), "millrace_streams 1") },
		time.Minute, 10*time.Millisecond)
	h.api.Drain()
	require.Contains(t, <-answers, `{"events":[],"next":"`)
}

// A cursor that is of another history, or whose events are gone, is not passed over in silence.
func TestFeedResync(t *testing.T) {
	t.Parallel()
	h := live(t)
	cursor, err := store.ParseCursor(h.page(t, "").Next)
	require.NoError(t, err)
	foreign, ahead := cursor, cursor
	foreign.Epoch++
	ahead.Txid += 1 << 30
	old := store.Cursor{Epoch: cursor.Epoch, At: time.UnixMilli(1)}
	for _, c := range []store.Cursor{foreign, ahead, old} {
		got := h.do(t, http.MethodGet, "/api/events?after="+c.String(), "")
		require.Equal(t, http.StatusGone, got.status)
		require.Equal(t, "cursor_expired", got.problem(t).Code)

		s := h.follow(t, "/api/events", "Last-Event-ID", c.String())
		require.Equal(t, http.StatusOK, s.StatusCode)
		resync := s.events(t, 1)[0]
		require.Equal(t, "resync", resync.event)
		id := storetest.Order(t, h.store).ID
		event := s.events(t, 1)[0]
		require.Equal(t, id, event.decode(t).OrderID, "and goes on from there")
		require.Equal(t, event, h.follow(t, "/api/events", "Last-Event-ID", resync.id).events(t, 1)[0])
	}
	for _, bad := range []string{"0", "x", "1-1-1", strings.Repeat("1", 100)} {
		got := h.do(t, http.MethodGet, "/api/events?after="+bad, "")
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, "query.after", got.problem(t).Errors[0].Location)
		got = h.do(t, http.MethodGet, "/api/events", "", "Last-Event-ID", bad)
		require.Equal(t, "header.Last-Event-ID", got.problem(t).Errors[0].Location)
	}
	// A made-up cursor in between is one to go on from, not one to turn in circles on.
	cursor, err = store.ParseCursor(h.page(t, "").Next)
	require.NoError(t, err)
	cursor.ID = 1 << 40
	require.Empty(t, h.page(t, "?after="+cursor.String()).Events)
}

func TestStreamsEach(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute, Open: true})
		c.MaxStreamsEach = 2
	})
	service := []string{"Accept", "text/event-stream", "Authorization", "Bearer " + h.key(t, roles.Service)}
	first := h.follow(t, "/api/events", service...)
	first.cursor(t)
	h.open(t, storetest.Order(t, h.store).ID, "", service...).events(t, 1)
	got := h.do(t, http.MethodGet, "/api/events", "", service...)
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.Equal(t, "too_many_streams", got.problem(t).Code)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	got = h.do(t, http.MethodGet, "/api/events?wait=1", "", service[2:]...)
	require.Equal(t, http.StatusTooManyRequests, got.status, "waiting is like streaming")
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/events", "", service[2:]...).status)

	// Other principals have their own share, and so do customers of one service. Unknown callers are not limited.
	for _, customer := range []string{ownCustomer, otherCustomer} {
		ticket := h.ticket(t, `{"customerId":"`+customer+`"}`, service[2:]...)
		for range 2 {
			h.follow(t, "/api/events?ticket="+ticket).cursor(t)
		}
		got := h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "", service[:2]...)
		require.Equal(t, http.StatusTooManyRequests, got.status)
	}
	for range 3 {
		h.follow(t, "/api/events").cursor(t)
	}
	first.Body.Close()
	require.Eventually(t, func() bool { return h.follow(t, "/api/events", service...).StatusCode == http.StatusOK },
		time.Minute, 10*time.Millisecond, "a closed stream makes room")
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	const shop, stranger = "https://shop.example", "https://stranger.example"
	h := live(t, func(c *api.Config) { c.AllowedOrigins = []string{shop} })
	const allowed = "Access-Control-Allow-Origin"
	followed := h.follow(t, "/api/events", "Origin", shop).Header
	require.Equal(t, shop, followed.Get(allowed))
	pulled := h.do(t, http.MethodGet, "/api/events", "", "Origin", shop).header
	for _, header := range []http.Header{followed, pulled} {
		require.ElementsMatch(t, []string{"Origin", "Accept"}, header.Values("Vary"), "caches keep sites apart")
	}
	require.Empty(t, h.follow(t, "/api/events", "Origin", stranger).Header.Get(allowed))
	for origin, want := range map[string]string{shop: shop, stranger: "", "null": ""} {
		got := h.do(t, http.MethodOptions, "/api/stream-tickets", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
		require.Equal(t, http.StatusNoContent, got.status)
		require.Equal(t, want, got.header.Get(allowed))
		require.Empty(t, got.header.Get("Access-Control-Allow-Credentials"))
	}
	none := live(t)
	require.Empty(t, none.follow(t, "/api/events", "Origin", shop).Header.Get(allowed))
	got := none.do(t, http.MethodOptions, "/api/events", "", "Origin", shop, "Access-Control-Request-Method", "GET")
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.Empty(t, got.header.Get(allowed))
}
