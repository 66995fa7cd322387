package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema has the tables of the baselines: an order, its items and, if steps are recorded, the outcome of each. The rows
// are as wide as Millrace's, and there are no more indexes than the work needs.
const Schema = `
CREATE TABLE orders (
	id uuid PRIMARY KEY,
	idempotency_key text NOT NULL UNIQUE,
	customer_id text NOT NULL,
	currency text NOT NULL,
	total_minor bigint NOT NULL,
	payment_method text NOT NULL,
	status text NOT NULL,
	placed_at timestamptz NOT NULL,
	completed_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX ON orders (customer_id, placed_at DESC);
CREATE TABLE order_items (
	order_id uuid NOT NULL REFERENCES orders (id),
	line integer NOT NULL,
	product_id bigint NOT NULL,
	quantity bigint NOT NULL,
	price_minor bigint NOT NULL,
	PRIMARY KEY (order_id, line)
);
CREATE TABLE order_steps (
	order_id uuid NOT NULL REFERENCES orders (id),
	step text NOT NULL,
	reference text NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (order_id, step)
);`

// Order is an order in messages and in workflows' inputs.
type Order struct {
	ID            uuid.UUID   `json:"orderId"`
	Key           string      `json:"-"`
	CustomerID    string      `json:"customerId"`
	PaymentMethod string      `json:"paymentMethod"`
	Items         []Item      `json:"items"`
	Total         json.Number `json:"total"`
	PlacedAt      time.Time   `json:"placedAt"`
}

// Item is a line of an order. The price is in cents, and on the wire in dollars.
type Item struct {
	ProductID int64 `json:"productId"`
	Quantity  int64 `json:"quantity"`
	Price     Cents `json:"price"`
}

// Cents is an amount. Its text is a decimal number with two places.
type Cents int64

// MarshalJSON writes 29.99.
func (c Cents) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%d.%02d", c/100, c%100), nil }

// UnmarshalJSON reads 29.99. It rejects numbers without exactly two places.
func (c *Cents) UnmarshalJSON(b []byte) error {
	units, cents, ok := strings.Cut(string(b), ".")
	n, err := strconv.ParseInt(units+cents, 10, 64)
	if !ok || len(cents) != 2 || err != nil {
		return errInvalid
	}
	*c = Cents(n)
	return nil
}

func (o Order) cents() (sum Cents) {
	for _, item := range o.Items {
		sum += item.Price * Cents(item.Quantity)
	}
	return sum
}

var errInvalid = errors.New("invalid order")

// readOrder reads and checks a request, and gives the order its id.
func readOrder(r *http.Request) (Order, error) {
	var o Order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		return o, fmt.Errorf("%w: %w", errInvalid, err)
	}
	o.Key = r.Header.Get("Idempotency-Key")
	if o.CustomerID == "" || o.Key == "" || len(o.Items) == 0 {
		return o, errInvalid
	}
	for _, item := range o.Items {
		if item.ProductID < 1 || item.Quantity < 1 || item.Price < 0 {
			return o, errInvalid
		}
	}
	o.ID, o.PlacedAt = uuid.Must(uuid.NewV7()), time.Now()
	return o, nil
}

// insert stores the order and its items in one transaction and one round trip. A key that exists is an error.
func insert(ctx context.Context, pool *pgxpool.Pool, o Order) error {
	batch := new(pgx.Batch) // pgx runs a batch in one implicit transaction
	batch.Queue(`INSERT INTO orders
		(id, idempotency_key, customer_id, currency, total_minor, payment_method, status, placed_at)
		VALUES ($1, $2, $3, 'USD', $4, $5, 'pending', $6)`,
		o.ID, o.Key, o.CustomerID, int64(o.cents()), o.PaymentMethod, o.PlacedAt)
	for i, item := range o.Items {
		batch.Queue("INSERT INTO order_items (order_id, line, product_id, quantity, price_minor) VALUES ($1, $2, $3, $4, $5)",
			o.ID, i+1, item.ProductID, item.Quantity, int64(item.Price))
	}
	return pool.SendBatch(ctx, batch).Close()
}

func complete(ctx context.Context, pool *pgxpool.Pool, id uuid.UUID) error {
	_, err := pool.Exec(ctx, "UPDATE orders SET status = 'completed', completed_at = $2 WHERE id = $1", id, time.Now())
	return err
}

// accept answers a request after its insert.
func accept(w http.ResponseWriter, o Order, err error) {
	var conflict *pgconn.PgError
	switch {
	case errors.Is(err, errInvalid):
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
	case errors.As(err, &conflict) && conflict.Code == "23505":
		writeJSON(w, http.StatusConflict, map[string]string{"error": "the key is taken"})
	case err != nil:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
	default:
		writeJSON(w, http.StatusAccepted, map[string]any{
			"orderId": o.ID, "status": "pending", "message": "Order is being processed", "items": o.Items, "total": o.cents(),
		})
	}
}

func openPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, config)
}
