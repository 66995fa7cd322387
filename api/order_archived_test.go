package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// archived makes a completed order of a customer that has left the database for a file, and returns its path.
func (h *harness) archived(t *testing.T, customer string) (orders.ID, string) {
	t.Helper()
	id := h.placeFor(t, customer)
	h.apply(t, append(completion(id), succeeded(id, orders.SendEmail)...)...)
	whole, _, err := h.store.Archive.Read(t.Context(), []orders.ID{id})
	require.NoError(t, err)
	f, err := h.store.Archive.Register(t.Context(), store.ArchiveFile{
		Name: id.String(), Orders: 1, Bytes: 1, SHA256: make([]byte, 32),
	}, whole)
	require.NoError(t, err)
	deleted, _, err := h.store.Archive.Delete(t.Context(), f, 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted)
	return id, "/api/orders/" + id.String()
}

// TestArchivedOrder: every operation on an order that has left the database answers that the order is gone, and not
// that there was none. Another customer does not learn even that.
func TestArchivedOrder(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials})
	})
	admin := []string{"Authorization", "Bearer " + h.key(t, roles.Admin)}
	customer := []string{"Authorization", "Bearer " + h.key(t, roles.Customer)}
	own, ownPath := h.archived(t, ownCustomer)
	_, otherPath := h.archived(t, otherCustomer)
	never := "/api/orders/" + orders.NewID().String()

	for name, of := range map[string]struct {
		method, path, body string
		header             []string
	}{
		"Read":          {method: http.MethodGet},
		"ReadIfChanged": {method: http.MethodGet, header: []string{"If-None-Match", `"1"`}},
		"ReadAVersion":  {method: http.MethodGet, header: []string{"Minimum-Version", "2"}},
		"Wait":          {method: http.MethodGet, header: []string{"Prefer", "wait=1"}},
		"Events":        {method: http.MethodGet, path: "/events"},
		"Stream":        {method: http.MethodGet, path: "/events", header: []string{"Accept", "text/event-stream"}},
		"Explain":       {method: http.MethodGet, path: "/explain"},
		"Cancel":        {method: http.MethodPost, path: "/cancel"},
		"Refund":        {method: http.MethodPost, path: "/refunds", body: `{}`},
		"Settle": {
			method: http.MethodPost, path: "/settle",
			body: `{"action":"retry","reason":"The provider is up again"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := func(order string, credential []string) answer {
				return h.do(t, of.method, order+of.path, of.body, append(credential[:2:2], of.header...)...)
			}
			requireProblem := func(a answer, status int, code string) {
				t.Helper()
				require.Equal(t, status, a.status, a.body)
				require.Equal(t, code, a.problem(t).Code)
			}
			requireProblem(ask(ownPath, admin), http.StatusGone, "order_archived")
			requireProblem(ask(never, admin), http.StatusNotFound, "order_not_found")
			a := ask(ownPath, customer)
			if a.status == http.StatusForbidden { // the operation is not for customers, whatever the order
				require.Equal(t, http.StatusForbidden, ask(otherPath, customer).status)
				return
			}
			requireProblem(a, http.StatusGone, "order_archived")
			requireProblem(ask(otherPath, customer), http.StatusNotFound, "order_not_found")
		})
	}
	page := h.do(t, http.MethodGet, "/api/orders", "", admin...)
	require.Equal(t, http.StatusOK, page.status)
	require.NotContains(t, page.body, own.String())
}
