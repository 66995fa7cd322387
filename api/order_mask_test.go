package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/stream"
)

// TestViewerSeesNoAddresses asks every operation that reads, in every form that it answers in, for an order with an
// address and a payment method, before and after another role has had the whole of it put into the cache. It reads the
// streams from the order's first event to its last, which happens while they are open.
func TestViewerSeesNoAddresses(t *testing.T) {
	t.Parallel()
	h := live(t)
	const body = `{"customerId":"1","items":[{"productId":1,"quantity":1,"price":5}],` +
		`"paymentMethod":"pm_secret","customerEmail":"ada@lovelace.example",` +
		`"shippingAddress":{"name":"Ada Lovelace","line1":"Main St 1","line2":"Floor 2",` +
		`"city":"Springfield","postalCode":"SW1A 2AA","country":"US"}}`
	viewer := []string{"Authorization", "Bearer " + h.key(t, roles.Viewer)}
	service := []string{"Authorization", "Bearer " + h.key(t, roles.Service)}
	placed := h.do(t, http.MethodPost, "/api/orders", body, service...).order(t)
	require.Equal(t, "pm_secret", placed.PaymentMethod)

	path := "/api/orders/" + placed.OrderID.String()
	for range 2 {
		got := h.do(t, http.MethodGet, path, "", viewer...).order(t)
		require.Equal(t, "***", got.PaymentMethod)
		require.Equal(t, "Springfield", got.ShippingAddress.City)
		require.Equal(t, "***", got.ShippingAddress.Line1)
		whole := h.do(t, http.MethodGet, path, "", service...).order(t)
		require.Equal(t, placed.ShippingAddress, whole.ShippingAddress)
		require.Equal(t, "pm_secret", whole.PaymentMethod)
	}
	h.apply(t, completion(placed.OrderID)...) // now the e-mail is a notification
	dead := h.do(t, http.MethodPost, "/api/orders", body, service...).order(t).OrderID
	h.apply(t, append(succeeded(dead, orders.AuthorizePayment, orders.QuoteShipping),
		storetest.Outcome(dead, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(dead, orders.VoidPayment, orders.StepRefused))...)
	discreet := func(op operation, text string) {
		for _, secret := range []string{"pm_secret", "Lovelace", "Main St", "Floor 2", "SW1A", "ada@"} {
			require.NotContains(t, text, secret, op.id)
		}
	}
	streams := map[*openStream]operation{}
	for _, op := range operations(t) {
		if op.method != http.MethodGet {
			continue
		}
		path := strings.Replace(op.path, "/orders/{id}", "/orders/"+placed.OrderID.String(), 1)
		path = operation{path: path}.concrete()
		from := "?after=start"
		if !strings.HasPrefix(path, "/api/events") {
			from = ""
		}
		for _, accept := range op.accepts {
			if accept != stream.MediaType {
				path := path + from
				discreet(op, h.do(t, op.method, path, "", append(viewer, "Accept", accept)...).body)
				continue
			}
			streams[h.follow(t, path+from, viewer...)] = op
			byTicket := strings.Replace(from, "?", "&", 1)
			streams[h.follow(t, path+"?ticket="+h.ticket(t, "", viewer...)+byTicket)] = op
		}
	}
	require.NotEmpty(t, streams)
	h.apply(t, storetest.Outcome(placed.OrderID, orders.SendEmail, orders.StepSucceeded))
	for s, op := range streams {
		require.Equal(t, http.StatusOK, s.StatusCode, op.id)
		require.Equal(t, stream.MediaType, s.Header.Get("Content-Type"))
		last, all := false, 0
		for !last {
			m, ok := s.next(t)
			require.True(t, ok, "%s ended before the order's last event", op.id)
			discreet(op, m.id+" "+m.event+" "+m.data+" "+m.comment)
			if m.event != "" && m.event != "cursor" {
				all++
			}
			last = strings.Contains(m.data, placed.OrderID.String()) && strings.Contains(m.data, `"version":7,`)
		}
		require.GreaterOrEqual(t, all, 7, op.id)
	}
}
