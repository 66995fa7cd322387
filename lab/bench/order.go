package main

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/google/uuid"
)

const (
	customers = 10_000
	products  = 1_000
	itemsEach = 2
)

// orderMaker makes requests that place orders. Each order has two items, a random customer and a key of its own.
type orderMaker struct {
	placed atomic.Int64
	cents  atomic.Int64 // the total of all orders that were placed
}

// order is a request and the order's total.
type order struct {
	request []byte
	cents   int64
}

func (m *orderMaker) make(header string) order {
	var cents int64
	item := func() string {
		quantity, price := 1+rand.Int64N(3), 100+rand.Int64N(20_000)
		cents += quantity * price
		return fmt.Sprintf(`{"productId":%d,"quantity":%d,"price":%d.%02d}`,
			1+rand.IntN(products), quantity, price/100, price%100)
	}
	body := fmt.Sprintf(`{"customerId":"%d","paymentMethod":"card","items":[%s,%s]}`,
		1+rand.IntN(customers), item(), item())
	return order{post("/api/orders", "Idempotency-Key: "+uuid.NewString()+"\r\n"+header, body), cents}
}

// accepted counts an order that was placed.
func (m *orderMaker) accepted(o order) {
	m.placed.Add(1)
	m.cents.Add(o.cents)
}
