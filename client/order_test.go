package client

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/client/oas"
)

// TestNothingForgotten finds fields that the API has and this package lacks.
func TestNothingForgotten(t *testing.T) {
	t.Parallel()
	renamed := map[string]string{
		"OrderID": "ID", "Timestamp": "At", "WebhookID": "ID", "DeliveryID": "ID", "DurationSeconds": "Duration",
	}
	for _, pair := range [][2]any{
		{oas.Order{}, Order{}},
		{oas.OrderItem{}, Item{}},
		{oas.OrderStep{}, Step{}},
		{oas.Address{}, Address{}},
		{oas.OrderEvent{}, Event{}},
		{oas.Placement{}, NewOrder{}},
		{oas.PlacementItem{}, Item{}},
		{oas.Refund{}, Refund{}},
		{oas.Settlement{}, Settlement{}},
		{oas.Notification{}, Notification{}},
		{oas.EventPage{}, FeedPage{}},
		{oas.Webhook{}, Webhook{}},
		{oas.NewWebhook{}, NewWebhook{}},
		{oas.WebhookChange{}, WebhookChange{}},
		{oas.WebhookDelivery{}, Delivery{}},
		{oas.DeliveryAttempt{}, DeliveryAttempt{}},
	} {
		generated, own := reflect.TypeOf(pair[0]), reflect.TypeOf(pair[1])
		for f := range generated.Fields() {
			_, same := own.FieldByName(f.Name)
			_, other := own.FieldByName(renamed[f.Name])
			require.True(t, same || other, "%s.%s of the API is missing in client.%s", generated.Name(), f.Name, own.Name())
		}
	}
}

// TestNewerServer reads answers of a newer server: unknown fields, statuses, steps and states.
func TestNewerServer(t *testing.T) {
	t.Parallel()
	c := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := strings.Replace(fakeOrder, `"pending"`, `"teleported"`, 1)
		body = strings.Replace(body, `"steps":[]`, `"steps":[{"name":"teleport","state":"beamed","new":[1],"generation":1,
			"startedAt":"2026-11-22T12:00:00Z"}]`, 1)
		_, _ = w.Write([]byte(body))
	})
	order, err := c.Order(t.Context(), fakeID)
	require.NoError(t, err)
	require.Equal(t, Status("teleported"), order.Status)
	require.Equal(t, StepName("teleport"), order.Steps[0].Name)
	require.Equal(t, "9007199254740993.01", order.Items[0].Price.String())
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	c := misbehave(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"1"` {
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(fakeOrder))
	})
	order, err := c.Order(t.Context(), fakeID)
	require.NoError(t, err)
	_, err = c.Order(t.Context(), fakeID, WithIfNoneMatch(order.Version))
	require.ErrorIs(t, err, ErrNotModified)
}

// TestArchived: an order that has left the database is told from one that never was, whatever is asked of it.
func TestArchived(t *testing.T) {
	t.Parallel()
	refusals := func(status int, code string) map[string]error {
		c := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) { writeProblem(w, status, code) })
		errs := map[string]error{}
		_, errs["Order"] = c.Order(t.Context(), fakeID)
		_, errs["Cancel"] = c.Cancel(t.Context(), fakeID)
		_, errs["Wait"] = c.Wait(t.Context(), fakeID)
		for _, err := range c.Events(t.Context(), fakeID, 0) {
			errs["Events"] = err
		}
		return errs
	}
	for name, err := range refusals(http.StatusGone, CodeOrderArchived) {
		require.True(t, IsArchived(err), "%s: %v", name, err)
		require.False(t, IsNotFound(err), name)
		problem, ok := errors.AsType[*Problem](err)
		require.True(t, ok, name)
		require.Equal(t, http.StatusGone, problem.Status, name)
	}
	for name, err := range refusals(http.StatusNotFound, CodeOrderNotFound) {
		require.True(t, IsNotFound(err), "%s: %v", name, err)
		require.False(t, IsArchived(err), name)
	}
	require.False(t, IsArchived(refusals(http.StatusGone, CodeCursorExpired)["Order"]))
}
