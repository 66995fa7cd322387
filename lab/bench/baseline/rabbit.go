package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
)

const (
	orderQueue = "order-processing"
	// publishers is the number of channels for publishing: a channel confirms one publisher at a time, and RabbitMQ
	// advises one channel per thread.
	publishers = 16
	consumers  = 4
	// prefetch is in the range of 100 to 300 that RabbitMQ's documentation recommends for good throughput.
	prefetch = 256
	cacheFor = 5 * time.Minute
)

// RabbitConfig has the servers' addresses.
type RabbitConfig struct {
	Database, Rabbit, Redis, Providers string
	// Record stores the outcome of each step when it is known, as Millrace and DBOS do. The architecture that this
	// baseline represents does not: after a crash in the middle, it is unknown which steps were done.
	Record bool
}

// rabbit is the usual architecture: orders are in Postgres, work is in RabbitMQ, and copies for readers are in Redis.
// An order is inserted, then published; a consumer carries out all its steps and acknowledges it.
//
// The insert and the publishing are not one transaction: a crash between them leaves an order that no consumer works
// on. That is the usual design, and faster than an outbox.
type rabbit struct {
	RabbitConfig
	pool      *pgxpool.Pool
	cache     *redis.Client
	providers *providers
	channels  chan *amqp.Channel // for publishing, each with confirms
}

// Rabbit runs the API and the consumers until ctx ends.
func Rabbit(ctx context.Context, c RabbitConfig) error {
	pool, err := openPool(ctx, c.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	cache := redis.NewClient(&redis.Options{Addr: c.Redis, PoolSize: connections})
	defer func() { _ = cache.Close() }()
	r := &rabbit{
		RabbitConfig: c, pool: pool, cache: cache, providers: newProviders(c.Providers),
		channels: make(chan *amqp.Channel, publishers),
	}
	publishing, err := r.connect()
	if err != nil {
		return err
	}
	defer func() { _ = publishing.Close() }()
	working := new(sync.WaitGroup)
	consuming, err := r.consume(ctx, working)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/orders", r.place)
	err = serve(ctx, mux)
	working.Wait()
	return errors.Join(err, consuming.Close())
}

// connect opens the channels for publishing. Publishing and consuming have connections of their own, as RabbitMQ
// advises: it throttles connections that publish.
func (r *rabbit) connect() (*amqp.Connection, error) {
	connection, err := amqp.Dial(r.Rabbit)
	if err != nil {
		return nil, err
	}
	for range publishers {
		channel, err := connection.Channel()
		if err != nil {
			return nil, err
		}
		if err := channel.Confirm(false); err != nil {
			return nil, err
		}
		if _, err := channel.QueueDeclare(orderQueue, true, false, false, false, nil); err != nil {
			return nil, err
		}
		r.channels <- channel
	}
	return connection, nil
}

// place stores an order, publishes it, and answers when RabbitMQ has confirmed that it is on disk.
func (r *rabbit) place(w http.ResponseWriter, request *http.Request) {
	o, err := readOrder(request)
	if err == nil {
		err = insert(request.Context(), r.pool, o)
	}
	if err == nil {
		err = r.publish(request.Context(), o)
	}
	accept(w, o, err)
}

// publish holds its channel only while it publishes. It waits for the confirmation without the channel.
func (r *rabbit) publish(ctx context.Context, o Order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	channel := <-r.channels
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "", orderQueue, true, false, amqp.Publishing{
		ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: body,
	})
	r.channels <- channel
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	acknowledged, err := confirmation.WaitContext(ctx)
	if err != nil || !acknowledged {
		return fmt.Errorf("publish: not confirmed: %w", err)
	}
	return nil
}

// consume starts the consumers. They end with ctx, after the messages that they hold.
func (r *rabbit) consume(ctx context.Context, working *sync.WaitGroup) (*amqp.Connection, error) {
	connection, err := amqp.Dial(r.Rabbit)
	if err != nil {
		return nil, err
	}
	for range consumers {
		channel, err := connection.Channel()
		if err != nil {
			return nil, err
		}
		if err := channel.Qos(prefetch, 0, false); err != nil {
			return nil, err
		}
		deliveries, err := channel.ConsumeWithContext(ctx, orderQueue, "", false, false, false, false, nil)
		if err != nil {
			return nil, err
		}
		working.Go(func() {
			for delivery := range deliveries {
				working.Go(func() { r.work(context.WithoutCancel(ctx), delivery) })
			}
		})
	}
	return connection, nil
}

// work carries out one message. A message that fails goes back into the queue.
func (r *rabbit) work(ctx context.Context, delivery amqp.Delivery) {
	var o Order
	err := json.Unmarshal(delivery.Body, &o)
	if err == nil {
		err = r.carryOut(ctx, o)
	}
	if err != nil {
		_ = delivery.Nack(false, true)
		return
	}
	_ = delivery.Ack(false)
}

func (r *rabbit) carryOut(ctx context.Context, o Order) error {
	do := func(ctx context.Context, s step) error {
		reference, err := r.providers.call(ctx, o, s)
		if err != nil || !r.Record {
			return err
		}
		_, err = r.pool.Exec(ctx, `INSERT INTO order_steps (order_id, step, reference, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING`, o.ID, s.name, reference, time.Now())
		return err
	}
	if err := atOnce(ctx, []step{authorize(), reserve(), quote()}, do); err != nil {
		return err
	}
	for _, s := range []step{capture(), ship()} {
		if err := do(ctx, s); err != nil {
			return err
		}
	}
	if err := complete(ctx, r.pool, o.ID); err != nil {
		return err
	}
	if err := r.remember(ctx, o); err != nil {
		return err
	}
	return do(ctx, email())
}

// remember replaces the order's copy in Redis.
func (r *rabbit) remember(ctx context.Context, o Order) error {
	body, err := json.Marshal(map[string]any{"orderId": o.ID, "status": "completed", "items": o.Items, "total": o.cents()})
	if err != nil {
		return err
	}
	return r.cache.Set(ctx, cacheKey(o.ID.String()), body, cacheFor).Err()
}
