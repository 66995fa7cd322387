package board

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

const (
	mostFound = 50
	uuidForm  = `[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`
)

type searchData struct {
	Problem     string
	Customer    []orders.Order // of the customer with this id
	ByReference []orders.ID    // with a payment or shipment of this reference
}

// search finds an order by its id, by a text that has its id (such as the key of a step), by a provider's reference, or
// by its customer.
func (b *board) search(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	d := searchData{}
	// The rule of customers' ids leaves out what Postgres refuses, such as U+0000.
	if problem := orders.CheckCustomerID(query); problem != "" {
		d.Problem = "What you look for " + problem + "."
		b.show(w, r, http.StatusUnprocessableEntity, "search", "Search", d)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	if id, err := uuid.Parse(regexp.MustCompile(uuidForm).FindString(query)); err == nil {
		leaveToOrder(w, r, id)
		return
	}
	var err error
	if d.ByReference, err = b.config.Store.Orders.ByReference(ctx, query, mostFound); err != nil {
		b.fail(w, r, err)
		return
	}
	d.Customer, err = b.config.Store.Orders.List(ctx, store.Filter{CustomerID: query, Limit: mostFound})
	if err != nil {
		b.fail(w, r, err)
		return
	}
	if len(d.ByReference) == 1 && len(d.Customer) == 0 {
		leaveToOrder(w, r, d.ByReference[0])
		return
	}
	b.show(w, r, http.StatusOK, "search", "Search", d)
}

// leaveToOrder sends the browser to the page of an order.
func leaveToOrder(w http.ResponseWriter, r *http.Request, id orders.ID) {
	page := Prefix + "orders/" + id.String()
	http.Redirect(w, r, page, http.StatusSeeOther) //nolint:gosec // an id is 16 bytes, written as hexadecimal digits
}
