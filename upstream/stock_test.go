package upstream_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/upstream"
)

func TestStock(t *testing.T) {
	t.Parallel()
	var asked []string
	registry := prometheus.NewRegistry()
	c := serve(t, upstream.Config{Registerer: registry}, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		products := []string{
			`{"productId":2.0,"quantity":5e0,"reserved":"1"}`,
			`{"productId":5,"quantity":0,"reserved":0,"price":2.999e1,"currency":"USD","colour":"red"}`,
			`{"productId":9,"quantity":9223372036854775807,"price":0,"currency":"JPY"}`,
		}
		switch after { // a page that is shorter than asked for does not end the list
		case 0:
			products = products[:2]
		case 5:
			products = products[2:]
		default:
			products = nil
		}
		_, _ = fmt.Fprintf(w, `{"products":[%s],"more":"fields"}`, strings.Join(products, ","))
	})
	stock, err := c.Stock(t.Context())
	require.NoError(t, err)
	require.Equal(t, []orders.Stock{
		{ProductID: 2, Quantity: 5, Reserved: 1},
		{ProductID: 5, Price: 2999, Currency: orders.USD},
		{ProductID: 9, Quantity: 9223372036854775807, Currency: "JPY"},
	}, stock)
	require.Equal(t, []string{
		"GET /inventory/stock?after=0&limit=250", "GET /inventory/stock?after=5&limit=250",
		"GET /inventory/stock?after=9&limit=250",
	}, asked)
	require.Equal(t, 1, testutil.CollectAndCount(registry, "millrace_upstream_request_duration_seconds"))
}

// A list that breaks the contract anywhere is refused: half of it would look like all of it.
func TestStockIsWholeOrNone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"NotJSON":         `<html>`,
		"NoProducts":      `{}`,
		"Null":            `{"products":null}`,
		"List":            `[]`,
		"NoID":            `{"products":[{"quantity":1}]}`,
		"Descending":      `{"products":[{"productId":2},{"productId":1}]}`,
		"Twice":           `{"products":[{"productId":2},{"productId":2}]}`,
		"NotAbove":        `{"products":[{"productId":0}]}`,
		"PagesIgnored":    `{"products":[{"productId":1}]}`, // and so again, for ever
		"Negative":        `{"products":[{"productId":1,"quantity":-1}]}`,
		"NegativeReserve": `{"products":[{"productId":1,"reserved":-1}]}`,
		"Fraction":        `{"products":[{"productId":1,"quantity":1.5}]}`,
		"NoCurrency":      `{"products":[{"productId":1,"price":1}]}`,
		"UnknownCurrency": `{"products":[{"productId":1,"price":1,"currency":"XTS"}]}`,
		"TooPrecise":      `{"products":[{"productId":1,"price":1.001,"currency":"USD"}]}`,
		"RepeatedList":    `{"products":[{"productId":1}],"products":[]}`,
		"RepeatedField":   `{"products":[{"productId":1,"quantity":1,"Quantity":2}]}`,
		"TooLong":         `{"products":[]}` + strings.Repeat(" ", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(w, body)
			})
			stock, err := c.Stock(t.Context())
			require.Nil(t, stock)
			var unavailable *upstream.UnavailableError
			require.ErrorAs(t, err, &unavailable)
			require.Contains(t, unavailable.Reason, " is not of the contract")
		})
	}
}

func TestStockIsOptional(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		404: upstream.ErrNoStock.Error(), 501: upstream.ErrNoStock.Error(), 401: "answered 401", 503: "status 503",
		302: "answered 302",
	} {
		c := serve(t, upstream.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := c.Stock(t.Context())
		require.ErrorContains(t, err, want)
	}
}

// The list is for showing only: that it is broken keeps no reservation from being made, and an open breaker does not
// keep it from being asked for.
func TestStockHasNothingToDoWithTheBreaker(t *testing.T) {
	t.Parallel()
	c := serve(t, upstream.Config{Timeout: 5 * time.Second}, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stock") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprint(w, `{"id":"1"}`)
	})
	for range 30 {
		_, err := c.Stock(t.Context())
		require.Error(t, err)
	}
	require.Equal(t, "closed", c.States()[orders.Inventory])
	_, err := c.Send(t.Context(), orders.ReserveInventory, key, []byte(`{}`))
	require.NoError(t, err)
}
