package simulator_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
)

func TestStockAndPrices(t *testing.T) {
	t.Parallel()
	sim := start(t, simulator.Config{})
	sample := sim.Stock()
	require.Len(t, sample, 20)
	require.Equal(t, simulator.Product{
		ProductID: 2, Quantity: 1_000_000, Price: "149.99", Currency: orders.USD,
	}, sample[1])

	require.Equal(t, 200, sim.put("/inventory/stock", `{"productId":7,"quantity":10}`).status)
	require.Equal(t, 200, sim.put("/inventory/prices", `{"productId":1,"price":29.990}`).status)
	for _, bad := range []string{
		`{"productId":0,"quantity":1}`, `{"productId":7}`, `{"productId":7,"quantity":-1}`, `{"x":1}`,
	} {
		require.Equal(t, "400 bad_request", sim.put("/inventory/stock", bad).said(), bad)
	}
	for _, bad := range []string{
		`{"productId":1}`, `{"productId":1,"price":"1"}`, `{"productId":1,"price":1,"currency":"XTS"}`,
	} {
		require.Equal(t, "400 bad_request", sim.put("/inventory/prices", bad).said(), bad)
	}

	require.Equal(t, "200", sim.send(reserve("r1", 7, 8, "1")).said())
	require.Equal(t, "422 out_of_stock", sim.send(reserve("r2", 7, 3, "1")).said())
	both := `"currency":"USD","items":[{"productId":7,"quantity":%d,"price":1},{"productId":7,"quantity":1,"price":1}]`
	require.Equal(t, "422 out_of_stock", sim.send(post("/inventory/reservations", "r3", both, 2)).said())
	require.Equal(t, "200", sim.send(post("/inventory/reservations", "r4", both, 1)).said())
	require.Equal(t, "200", sim.send(release("l", "r1")).said())
	require.Equal(t, "422 price_mismatch", sim.send(reserve("p1", 1, 1, "29.98")).said())
	require.Equal(t, "200", sim.send(reserve("p2", 1, 1, "29.99")).said())
	require.Equal(t, []simulator.Product{
		{ProductID: 1, Quantity: 1_000_000, Reserved: 1, Price: "29.99", Currency: orders.USD},
		{ProductID: 7, Quantity: 8, Reserved: 2},
	}, sim.Stock())
	require.JSONEq(t, `{"products":[
		{"productId":1,"quantity":1000000,"reserved":1,"price":29.99,"currency":"USD"},
		{"productId":7,"quantity":8,"reserved":2}]}`, sim.get("/inventory/stock").raw)

	require.JSONEq(t, `{"products":[{"productId":1,"quantity":1000000,"reserved":1,"price":29.99,"currency":"USD"}]}`,
		sim.get("/inventory/stock?limit=1").raw)
	require.JSONEq(t, `{"products":[{"productId":7,"quantity":8,"reserved":2}]}`,
		sim.get("/inventory/stock?after=1&limit=5").raw)
	require.JSONEq(t, `{"products":[]}`, sim.get("/inventory/stock?after=7").raw)
	for _, bad := range []string{"after=x", "limit=-1"} {
		require.Equal(t, "400 bad_request", sim.get("/inventory/stock?"+bad).said(), bad)
	}
}
