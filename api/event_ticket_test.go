package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (h *harness) ticket(t *testing.T, body string, header ...string) string {
	t.Helper()
	got := h.do(t, http.MethodPost, "/api/stream-tickets", body, header...)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	var ticket api.StreamTicket
	require.NoError(t, json.Unmarshal([]byte(got.body), &ticket))
	return ticket.Ticket
}

func TestTicket(t *testing.T) {
	t.Parallel()
	secure := func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
		c.Heartbeat = 50 * time.Millisecond
	}
	h := live(t, secure)
	other := serve(t, h.pool, secure) // another process
	key := h.key(t, roles.Customer)
	bearer := []string{"Authorization", "Bearer " + key}
	ticket := h.ticket(t, "", bearer...)
	own, others := h.placeFor(t, ownCustomer), h.placeFor(t, otherCustomer)

	// It opens streams and pages of events, everywhere, any number of times.
	s := h.follow(t, "/api/events?after=start&ticket="+ticket)
	require.Equal(t, http.StatusOK, s.StatusCode, h.log.String())
	require.Equal(t, own, s.events(t, 1)[0].decode(t).OrderID)
	require.Equal(t, http.StatusOK, other.follow(t, "/api/orders/"+own.String()+"/events?ticket="+ticket).StatusCode)
	require.Eventually(t, func() bool { // another test's transaction may hold up the log
		return len(other.page(t, "?after=start&ticket="+ticket).Events) == 1
	}, time.Minute, time.Millisecond)

	// It opens nothing else, and not others' events.
	for _, path := range []string{"/api/orders", "/api/orders/" + own.String(), "/api/system/status"} {
		require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, path+"?ticket="+ticket, "").status, path)
		got := h.do(t, http.MethodGet, path, "", "Authorization", "Bearer "+ticket)
		require.Equal(t, http.StatusUnauthorized, got.status, path)
	}
	for _, path := range []string{"/api/stream-tickets", "/api/orders", "/api/orders/" + own.String() + "/cancel"} {
		require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodPost, path+"?ticket="+ticket, "{}").status, path)
	}
	got := h.do(t, http.MethodGet, "/api/orders/"+others.String()+"/events?ticket="+ticket, "")
	require.Equal(t, http.StatusNotFound, got.status)
	got = h.do(t, http.MethodPost, "/api/stream-tickets", `{"customerId":"2"}`, bearer...)
	require.Equal(t, http.StatusForbidden, got.status)

	// A ticket counts, not the credential beside it; a wrong one is wrong.
	service := []string{"Authorization", "Bearer " + h.key(t, roles.Service)}
	narrow := h.ticket(t, `{"customerId":"2"}`, service...)
	page := h.page(t, "?wait=20&after=start&ticket="+narrow, service...) // other tests' transactions hold the log up
	require.Len(t, page.Events, 1)
	require.Equal(t, others, page.Events[0].OrderID)
	for _, wrong := range []string{"x", ticket[1:] + "x", ticket + "x", key} {
		got := h.do(t, http.MethodGet, "/api/events?ticket="+wrong, "", service...)
		require.Equal(t, http.StatusUnauthorized, got.status, wrong)
	}
	require.NotContains(t, h.log.String()+other.log.String(), ticket)

	// After a minute it opens no more streams, and those that are open stay.
	_, err := h.pool.Exec(t.Context(), "UPDATE stream_tickets SET expires_at = now() - interval '1 second'")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)
	again := h.placeFor(t, ownCustomer)
	require.Equal(t, again, s.events(t, 1)[0].decode(t).OrderID)

	// With the key behind it everything ends.
	ticket = h.ticket(t, "", bearer...)
	_, err = storetest.New(t, h.pool).Credentials.RevokeKeys(t.Context(), []string{key[3:15]}, store.Actor{Name: "test"})
	require.NoError(t, err)
	require.Empty(t, s.rest(t))
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)
	var stored int
	require.NoError(t, h.pool.QueryRow(t.Context(), "SELECT count(*) FROM stream_tickets").Scan(&stored))
	require.Equal(t, 1, stored, "what has expired is gone")
}

// TestTicketWithoutCustomer: a shop that has lost its customer's id must not give the customer a ticket for all orders.
func TestTicketWithoutCustomer(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	for _, path := range []string{"/api/stream-tickets", "/api/webhooks"} {
		got := h.do(t, http.MethodPost, path, `{"url":"https://shop.example.com/hook","customerId":""}`)
		require.Equal(t, http.StatusUnprocessableEntity, got.status, path)
		require.Contains(t, got.body, "body.customerId")
	}
}

// TestTicketOfAReplacedToken: what was made with the old token ends with it.
func TestTicketOfAReplacedToken(t *testing.T) {
	t.Parallel()
	var accepted *auth.Authenticator
	h := live(t, func(c *api.Config) {
		accepted = auth.New(auth.Config{Keys: c.Store.Credentials, Token: "first-token", Timeout: time.Minute})
		c.Auth, c.Heartbeat = accepted, 50*time.Millisecond
	})
	ticket := h.ticket(t, "", "Authorization", "Bearer first-token")
	s := h.follow(t, "/api/events?after=start&ticket="+ticket)
	require.Equal(t, http.StatusOK, s.StatusCode, h.log.String())
	accepted.SetToken("first-token") // the settings were read again
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)

	accepted.SetToken("second-token")
	require.Empty(t, s.rest(t))
	require.Equal(t, http.StatusUnauthorized, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)
	ticket = h.ticket(t, "", "Authorization", "Bearer second-token")
	require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/events?ticket="+ticket, "").status)
}
