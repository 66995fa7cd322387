package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/millrace-orders/millrace/client"
)

// Place ten orders, follow one of them live, and list them all.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	millrace, err := client.New(os.Getenv("MILLRACE_URL"), client.WithToken(os.Getenv("MILLRACE_TOKEN")))
	if err != nil {
		log.Fatal(err)
	}

	var last *client.Order
	for range 10 {
		last, err = millrace.Place(ctx, client.NewOrder{
			CustomerID: "ada",
			Items: []client.Item{
				{ProductID: 1, Quantity: 2, Price: client.MustAmount("29.99")},
				{ProductID: 2, Quantity: 1, Price: client.MustAmount("149.99")},
			},
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("The last one costs", last.Total, last.Currency)

	for event, err := range millrace.Events(ctx, last.ID, 0) {
		if err != nil {
			log.Fatal(err)
		}
		if event.Type == client.OrderStatusUpdated {
			fmt.Printf("It is %s: %d %%\n", event.Status, event.Progress)
		}
	}

	var listed int
	for _, err := range millrace.Orders(ctx, client.Filter{CustomerID: "ada", PageSize: 3}) {
		if err != nil {
			log.Fatal(err)
		}
		listed++
	}
	fmt.Println("Ada has", listed, "orders")
	// Output:
	// The last one costs 209.97 USD
	// It is processing: 20 %
	// It is completed: 100 %
	// Ada has 10 orders
}

// Follow an order live, to its end. The README quotes this program.
func ExampleClient_Events() {
	ctx := context.Background()
	millrace, err := client.New(os.Getenv("MILLRACE_URL")) // http://127.0.0.1:8080
	if err != nil {
		log.Fatal(err)
	}
	order, err := millrace.Place(ctx, client.NewOrder{
		CustomerID: "linus",
		Items:      []client.Item{{ProductID: 1, Quantity: 2, Price: client.MustAmount("29.99")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range millrace.Events(ctx, order.ID, 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Message)
	}
	// Unordered output:
	// Order was placed
	// Payment authorisation succeeded
	// Inventory reservation succeeded
	// Shipping quote succeeded
	// Payment capture succeeded
	// Shipment succeeded
	// E-mail succeeded
}

// Under a key of your own, an order is placed once, however often your program restarts.
func ExampleClient_Place() {
	ctx := context.Background()
	millrace, err := client.New(os.Getenv("MILLRACE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	order := client.NewOrder{
		CustomerID: "grace",
		Items:      []client.Item{{ProductID: 1, Quantity: 1, Price: client.MustAmount("29.99")}},
	}
	for range 2 {
		placed, err := millrace.Place(ctx, order, client.WithIdempotencyKey("cart-4711"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("Replayed:", placed.Replayed)
	}
	// Output:
	// Replayed: false
	// Replayed: true
}

// A refused request explains the refusal, field by field.
func ExampleProblem() {
	ctx := context.Background()
	millrace, err := client.New(os.Getenv("MILLRACE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = millrace.Place(ctx, client.NewOrder{
		CustomerID: "ada",
		Items:      []client.Item{{ProductID: 1, Quantity: 1, Price: client.MustAmount("29.999")}},
	})
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		fmt.Println(problem.Status, problem.Code)
		for _, field := range problem.Fields {
			fmt.Println(field.Location, field.Message)
		}
	}
	// Output:
	// 422 validation_failed
	// body.items[0].price must have at most 2 decimals in USD
}

// Wait until an order is at rest, with any status.
func ExampleClient_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	millrace, err := client.New(os.Getenv("MILLRACE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	order, err := millrace.Place(ctx, client.NewOrder{
		CustomerID:    "mary",
		PaymentMethod: "card_declined",
		Items:         []client.Item{{ProductID: 1, Quantity: 1, Price: client.MustAmount("29.99")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if order, err = millrace.Wait(ctx, order.ID); err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.Status, order.Reason)
	// Output: failed authorize_payment refused: card_declined
}

func ExampleVerifyWebhook() {
	secret := os.Getenv("MILLRACE_WEBHOOK_SECRET") // whsec_…, from CreateWebhook
	http.HandleFunc("POST /hooks/orders", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			return
		}
		message, err := client.VerifyWebhook(r.Header, body, time.Now(), secret)
		if err != nil {
			http.Error(w, "not authentic", http.StatusUnauthorized)
			return
		}
		// In one transaction of your own, remember message.ID and handle the message, unless the ID was there already.
		// Answer 500 if that fails, and the message comes again.
		if message.Event != nil && message.Event.Status == client.Completed {
			log.Print("ship order ", message.Event.OrderID)
		}
	})
}
