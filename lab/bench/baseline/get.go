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

// Plain answers every GET of an order with the same bytes. It shows the cost of net/http.
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

// Huma answers every GET of an order with the same order, which Huma encodes. It shows the cost of Huma.
func Huma(ctx context.Context, body []byte) error {
	var order api.Order
	if err := json.Unmarshal(body, &order); err != nil {
		return fmt.Errorf("decode order: %w", err)
	}
	return serveHuma(ctx, func(context.Context, *humaInput) (*humaOutput, error) {
		return &humaOutput{ETag: `"6"`, Body: order}, nil
	})
}

func serveHuma(ctx context.Context, get func(context.Context, *humaInput) (*humaOutput, error)) error {
	router := chi.NewRouter()
	config := huma.DefaultConfig("baseline", "1")
	config.CreateHooks = nil
	huma.Get(humachi.New(router, config), orderPath, get)
	return serve(ctx, router)
}

// Redis answers GETs of orders with bytes from Redis. It shows the cost of a cache in a separate process.
func Redis(ctx context.Context, body []byte, addr string) error {
	client, err := fillRedis(ctx, body, addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+orderPath, func(w http.ResponseWriter, r *http.Request) {
		cached, err := client.Get(r.Context(), cacheKey(r.PathValue("id"))).Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(cached) //nolint:gosec // G705: it is JSON that this program has stored
	})
	return serve(ctx, mux)
}

// HumaRedis answers GETs of orders from Redis, decoded and encoded again: applications often cache orders and not
// answers.
func HumaRedis(ctx context.Context, body []byte, addr string) error {
	client, err := fillRedis(ctx, body, addr)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return serveHuma(ctx, func(ctx context.Context, in *humaInput) (*humaOutput, error) {
		cached, err := client.Get(ctx, cacheKey(in.ID)).Bytes()
		if err != nil {
			return nil, err
		}
		out := &humaOutput{ETag: `"6"`}
		return out, json.Unmarshal(cached, &out.Body)
	})
}

// fillRedis stores an order in Redis.
func fillRedis(ctx context.Context, body []byte, addr string) (*redis.Client, error) {
	var order api.Order
	if err := json.Unmarshal(body, &order); err != nil {
		return nil, fmt.Errorf("decode order: %w", err)
	}
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: connections})
	if err := client.Set(ctx, cacheKey(order.OrderID.String()), body, 0).Err(); err != nil {
		return nil, fmt.Errorf("fill Redis: %w", err)
	}
	return client, nil
}

func cacheKey(id string) string { return "order:" + id }
