package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/store/storetest"
)

// TestViewerSeesNoAddresses asks every operation that reads for an order with an address and a payment method, before
// and after another role has had the whole of it put into the cache.
func TestViewerSeesNoAddresses(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	const body = `{"customerId":"1","items":[{"productId":1,"quantity":1,"price":5}],` +
		`"paymentMethod":"pm_secret","customerEmail":"ada@lovelace.example",` +
		`"shippingAddress":{"name":"Ada Lovelace","line1":"Main St 1","line2":"Floor 2",` +
		`"city":"Springfield","postalCode":"12345","country":"US"}}`
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
	for _, op := range operations(t) {
		if op.method != http.MethodGet {
			continue
		}
		path := op.path
		switch path {
		case "/api/orders/{id}", "/api/orders/{id}/events":
			path = "/api/orders/" + placed.OrderID.String() + path[len("/api/orders/{id}"):]
		default:
			path = op.concrete()
		}
		got := h.do(t, op.method, path, "", viewer...)
		for _, secret := range []string{"pm_secret", "Lovelace", "Main St", "Floor 2", "12345", "ada@"} {
			require.NotContains(t, got.body, secret, op.id)
		}
	}
}
