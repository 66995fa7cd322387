package board

import (
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
	ctx, cancel := b.timeout(r)
	defer cancel()
	if id, err := uuid.Parse(regexp.MustCompile(uuidForm).FindString(query)); err == nil {
		http.Redirect(w, r, Prefix+"orders/"+id.String(), http.StatusSeeOther)
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
		http.Redirect(w, r, Prefix+"orders/"+d.ByReference[0].String(), http.StatusSeeOther)
		return
	}
	b.show(w, r, http.StatusOK, "search", "Search", d)
}
