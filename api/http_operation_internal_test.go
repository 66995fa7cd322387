package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
)

func nothing(context.Context, *struct{}) (*struct{}, error) { return nil, nil }

// A process with an operation that does not say which callers it is for does not start.
func TestOperationWithoutPermission(t *testing.T) {
	t.Parallel()
	api := humachi.New(chi.NewRouter(), newHumaConfig("test"))
	forgotten := declare(operation{
		Operation: huma.Operation{OperationID: "x", Method: http.MethodGet, Path: "/x"},
	}, nothing)
	require.PanicsWithValue(t, "operation x has no permission", func() { forgotten.register(api) })
	forgotten.permission = "misspelt"
	require.Panics(t, func() { forgotten.register(api) })
	forgotten.permission = permitRead
	forgotten.register(api)
	require.Equal(t, permitRead, declared(api.OpenAPI().Paths["/x"].Get).permission)
}

// An operation that gets into the API without being declared is closed to all callers, admins included.
func TestUndeclaredOperationIsClosed(t *testing.T) {
	t.Parallel()
	rates := new(rates)
	load := newLoad(Config{}.withDefaults(), newMetrics(nil))
	access := &access{auth: auth.New(auth.Config{Token: "a token of an admin"}), rates: rates, load: load}
	router := chi.NewRouter()
	router.Use(identifying{}.identified)
	api := humachi.New(router, newHumaConfig("test"))
	api.UseMiddleware(labelled, access.authorized)
	huma.Get(api, "/undeclared", nothing)
	read := declare(operation{
		Operation: huma.Operation{OperationID: "x", Method: http.MethodGet, Path: "/declared"}, permission: permitRead,
	}, nothing)
	read.register(api)
	for path, want := range map[string]int{"/undeclared": http.StatusForbidden, "/declared": http.StatusNoContent} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer a token of an admin")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, path)
	}
}
