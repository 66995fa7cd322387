package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/cache"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/storetest"
)

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkGet is a cached order, beside the same answer from a handler of Huma's with nothing around it.
func BenchmarkGet(b *testing.B) {
	s := storetest.New(b, storetest.Pool(b))
	o := storetest.Order(b, s)
	cached, err := cache.New(cache.Config{Load: func(context.Context, orders.ID) (orders.Order, error) { return o, nil }})
	require.NoError(b, err)
	defer cached.Close()
	server := api.New(api.Config{
		Store: s, Cache: cached, Auth: auth.New(auth.Config{Keys: s.Credentials, Open: true}),
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // what a log costs counts
	})
	path := "/api/orders/" + o.ID.String()
	first := httptest.NewRecorder()
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		r.RemoteAddr = "127.0.0.1:1"
		return r
	}
	server.ServeHTTP(first, request())
	require.Equal(b, http.StatusOK, first.Code)

	router := chi.NewRouter()
	bare := humachi.New(router, huma.DefaultConfig("bare", "1"))
	var body api.Order
	require.NoError(b, json.Unmarshal(first.Body.Bytes(), &body))
	type output struct{ Body api.Order }
	huma.Get(bare, "/api/orders/{id}", func(context.Context, *struct {
		ID string `path:"id"`
	},
	) (*output, error) {
		return &output{body}, nil
	})

	for name, handler := range map[string]http.Handler{"Millrace": server, "BareHuma": router} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{http.Header{}}, request())
			}
		})
	}
}
