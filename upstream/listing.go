package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/millrace-orders/millrace/orders"
)

// listingPage is how many effects are requested at a time: with keys and ids of any valid length they fit into maxPage.
// If a provider's page still does not fit, the next request asks for half as many, and so on.
const listingPage = 100

// ErrNoListing means that the provider does not list its effects (404, 501). The list is optional.
var ErrNoListing = errors.New("provider lists no operations")

// Effects calls fn with what took effect at a provider at since or later and before until, a page at a time. Like Stock
// it neither consults nor affects the breaker.
//
// Errors: ErrNoListing; *UnavailableError, *MisconfiguredError; ctx's own error; or fn's error, which ends the list.
func (c *Clients) Effects(
	ctx context.Context, p orders.Provider, since, until time.Time, fn func([]orders.Effect) error,
) error {
	return c.EffectsFrom(ctx, p, since, until, "", func(page []orders.Effect, _ string) error { return fn(page) })
}

// EffectsFrom is Effects from a page on: cursor is the next that fn got with the page before, and empty for the first
// page. The last page has an empty next.
func (c *Clients) EffectsFrom(
	ctx context.Context, p orders.Provider, since, until time.Time, cursor string,
	fn func(page []orders.Effect, next string) error,
) error {
	client := c.clients[p]
	if client == nil {
		return ErrNoListing // a mail server
	}
	query := url.Values{
		"since": {since.UTC().Format(time.RFC3339Nano)}, "until": {until.UTC().Format(time.RFC3339Nano)},
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	for limit := listingPage; ; {
		query.Set("limit", strconv.Itoa(limit))
		start := time.Now()
		page, next, err := client.effects(ctx, query)
		client.metrics.observe(ctx, p, "list", err, time.Since(start))
		if errors.Is(err, errTooLong) && limit > 1 {
			limit /= 2
			continue
		}
		if err != nil {
			return err
		}
		if err := fn(page, next); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		query.Set("cursor", next)
	}
}

func (c *client) effects(ctx context.Context, query url.Values) (page []orders.Effect, next string, err error) {
	u := c.base.JoinPath("operations")
	u.RawQuery = query.Encode()
	r, err := c.exchange(ctx, call{method: http.MethodGet, url: u, limit: maxPage})
	switch {
	case err != nil:
		return nil, "", err
	case r.status == http.StatusNotFound, r.status == http.StatusNotImplemented:
		return nil, "", ErrNoListing
	case r.status != http.StatusOK:
		return nil, "", r.failure(c.provider)
	case r.err != nil:
		return nil, "", r.err
	}
	page, next, err = r.effects(c.provider)
	if err == nil && next != "" && (next == query.Get("cursor") || len(page) == 0) {
		err = errors.New("the cursor makes no progress")
	}
	if err != nil {
		return nil, "", &UnavailableError{
			Provider: c.provider, Reason: "listing is not of the contract: " + err.Error(), Unclear: true,
		}
	}
	return page, next, nil
}

// effects reads a page. One malformed entry spoils the page: an omitted effect would look as if it had not happened.
func (r reply) effects(p orders.Provider) (page []orders.Effect, next string, err error) {
	body, err := readMembers(r.body)
	if err != nil {
		return nil, "", errors.New("it is unreadable")
	}
	list, err := body.list("operations")
	if err != nil {
		return nil, "", err
	}
	next, ok := body.text("next")
	if !ok {
		return nil, "", errors.New("it has an invalid cursor")
	}
	for _, entry := range list {
		e, err := entry.effect(p)
		if err != nil {
			return nil, "", err
		}
		page = append(page, e)
	}
	return page, next, nil
}

// effect reads an entry of a page.
func (m members) effect(p orders.Provider) (e orders.Effect, err error) {
	key, hasKey := m.text("key")
	order, hasOrder := m.text("orderid")
	id, hasID := m.text("id")
	moment, _ := m.text("at")
	if !hasKey || !visible(key) || len(key) > orders.MaxIdempotencyKey || !hasOrder || !hasID {
		return e, errors.New("an operation has an invalid key or id")
	}
	e = orders.Effect{Provider: p, Key: key, OrderID: order, Reference: reference(id)}
	if e.At, err = time.Parse(time.RFC3339, moment); err != nil || e.At.IsZero() {
		return e, errors.New("an operation has an invalid time")
	}
	if e.Amount, e.Currency, err = m.money("amount"); err != nil {
		return e, errors.New("an operation has an invalid amount")
	}
	if e.Units, err = m.whole("units"); err != nil || e.Units < 0 {
		return e, errors.New("an operation has an invalid number of units")
	}
	return e, nil
}
