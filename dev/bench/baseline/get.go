package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/redis/go-redis/v9"

	"github.com/millrace-orders/millrace/api"
)

const orderPath = "/api/orders/{id}"

// Plain answers every GET of an order with the same bytes: what net/http costs.
func Plain(ctx context.Context, body []byte) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+orderPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	return serve(ctx, mux)
}

type humaInput struct {
	ID string `path:"id" format:"uuid"`
}

type humaOutput struct {
	ETag string `header:"ETag"`
	Body api.Order
}

// Huma answers every GET of an order with the same order, which Huma encodes: what Huma costs.
func Huma(ctx context.Context, body []byte) error {
	var order api.Order
	if err := json.Unmarshal(body, &order); err != nil {
		return fmt.Errorf("decode order: %w", err)
	}
	router := chi.NewRouter()
	config := huma.DefaultConfig("baseline", "1")
	config.CreateHooks = nil
	huma.Get(humachi.New(router, config), orderPath, func(context.Context, *humaInput) (*humaOutput, error) {
		return &humaOutput{ETag: `"6"`, Body: order}, nil
	})
	return serve(ctx, router)
}

// Redis answers GETs of orders with what Redis has of them, which is their bytes: what a cache in another process
// costs.
func Redis(ctx context.Context, body []byte, addr string) error {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: connections})
	defer func() { _ = client.Close() }()
	var order struct {
		OrderID string `json:"orderId"`
	}
	if err := json.Unmarshal(body, &order); err != nil {
		return fmt.Errorf("decode order: %w", err)
	}
	if err := client.Set(ctx, cacheKey(order.OrderID), body, 0).Err(); err != nil {
		return fmt.Errorf("fill Redis: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+orderPath, func(w http.ResponseWriter, r *http.Request) {
		cached, err := client.Get(r.Context(), cacheKey(r.PathValue("id"))).Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cached) //nolint:gosec // G705: it is JSON, and what we wrote there ourselves
	})
	return serve(ctx, mux)
}

func cacheKey(id string) string { return "order:" + id }
