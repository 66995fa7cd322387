package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

func (a answer) notifications(t *testing.T) api.NotificationPage {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, a.body)
	var page api.NotificationPage
	require.NoError(t, json.Unmarshal([]byte(a.body), &page))
	return page
}

// notify completes an order of a customer whose address is known, and returns its id.
func (h *harness) notify(t *testing.T, customer, address string) orders.ID {
	t.Helper()
	p := storetest.Placement()
	p.CustomerID, p.CustomerEmail = customer, address
	placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	id := placed[0].Order.ID
	h.apply(t, completion(id)...)
	return id
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	own := h.notify(t, ownCustomer, "ada@example.com")
	other := h.notify(t, otherCustomer, canary+"@example.com")
	second := h.notify(t, ownCustomer, "ada@example.com")
	sent := storetest.Outcome(own, orders.SendEmail, orders.StepSucceeded)
	sent.Reference = "m1"
	h.apply(t, sent)
	get := func(role roles.Role, query string) answer {
		return h.do(t, http.MethodGet, "/api/notifications"+query, "", "Authorization", "Bearer "+keys[role])
	}

	t.Run("Pages", func(t *testing.T) {
		t.Parallel()
		var ids []orders.ID
		for query := "?limit=1"; query != ""; {
			got := get(roles.Admin, query)
			page := got.notifications(t)
			ids = append(ids, page.Notifications[0].OrderID)
			query = ""
			if page.NextCursor != "" {
				query = "?limit=1&cursor=" + page.NextCursor
				require.Contains(t, got.header.Get("Link"), "/api/notifications?cursor="+page.NextCursor)
			}
		}
		require.Equal(t, []orders.ID{second, other, own}, ids)
		page := get(roles.Admin, "?limit=1").notifications(t)
		got := get(roles.Admin, "?limit=1&customerId=1&cursor="+page.NextCursor)
		require.Equal(t, http.StatusBadRequest, got.status, "the cursor of another list")
	})

	t.Run("One", func(t *testing.T) {
		t.Parallel()
		page := get(roles.Service, "?orderId="+own.String()).notifications(t)
		require.Len(t, page.Notifications, 1)
		n := page.Notifications[0]
		require.Equal(t, "order_completed", n.Template)
		require.Equal(t, "ada@example.com", n.Recipient)
		require.Equal(t, api.NotificationState("sent"), n.State)
		require.Equal(t, "m1", n.Reference)
		require.NotNil(t, n.SettledAt)
		require.Nil(t, get(roles.Admin, "?orderId="+other.String()).notifications(t).Notifications[0].SettledAt)
		require.Empty(t, get(roles.Admin, "?orderId="+orders.NewID().String()).notifications(t).Notifications)
		require.Equal(t, http.StatusUnprocessableEntity, get(roles.Admin, "?orderId=x").status)
	})

	t.Run("OfOthersNothing", func(t *testing.T) {
		t.Parallel()
		require.Len(t, get(roles.Customer, "").notifications(t).Notifications, 2)
		of := "?orderId=" + other.String()
		for _, query := range []string{"", "?customerId=2", of, of + "&customerId=2"} {
			got := get(roles.Customer, query)
			require.NotContains(t, got.body, canary, query)
			require.NotContains(t, got.body, other.String(), query)
		}
		require.Contains(t, get(roles.Customer, "?customerId=1").body, "ada@example.com")
	})

	t.Run("MaskedForViewers", func(t *testing.T) {
		t.Parallel()
		got := get(roles.Viewer, "?customerId=1")
		require.NotContains(t, got.body, "ada@")
		require.Contains(t, got.body, `"recipient":"a***@example.com"`)
	})
}

func TestCustomerEmail(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Tx(t))
	place := func(address string) answer {
		return h.do(t, http.MethodPost, "/api/orders",
			strings.TrimSuffix(seedBody, "}")+`,"customerEmail":`+quote(t, address)+`}`, "Idempotency-Key", "k")
	}
	got := place("ada@example.com")
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.NotContains(t, got.body, "ada@", "no order repeats it")
	require.NotContains(t, h.do(t, http.MethodGet, got.header.Get("Location"), "").body, "ada@")
	stored, err := h.store.Orders.Get(t.Context(), got.order(t).OrderID)
	require.NoError(t, err)
	require.Equal(t, "ada@example.com", stored.CustomerEmail)
	require.Equal(t, "true", place("ada@example.com").header.Get("Idempotency-Replayed"))
	require.Equal(t, "idempotency_key_reused", place("eve@example.com").problem(t).Code)

	for _, bad := range []string{"ada", "Ada <ada@example.com>", "a@b.example\r\nBcc: c@d.example", "a@b,c@d"} {
		p := place(bad).problem(t)
		require.Equal(t, http.StatusUnprocessableEntity, p.Status)
		require.Equal(t, "body.customerEmail", p.Errors[0].Location)
	}
	require.NotContains(t, h.log.String(), "@")
}
