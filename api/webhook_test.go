package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/webhook"
)

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	require.Less(t, a.status, 300, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

const hookBody = `{"url":"https://shop.example.com/hook","eventTypes":["Ping","OrderCreated"],"description":"d"}`

func TestWebhook(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	made := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody, "Idempotency-Key", "k"))
	require.Regexp(t, `^whsec_[A-Za-z0-9+/]{43}=$`, made.Secret)
	require.True(t, made.Enabled)
	require.Equal(t, []api.WebhookEventType{"OrderCreated", "Ping"}, made.EventTypes)
	path := "/api/webhooks/" + made.WebhookID.String()

	answered := h.do(t, http.MethodPost, "/api/webhooks", hookBody, "Idempotency-Key", "k")
	repeated := decode[api.WebhookWithSecret](t, answered)
	require.Equal(t, made.WebhookID, repeated.WebhookID)
	require.Equal(t, made.Secret, repeated.Secret)
	other := strings.Replace(hookBody, "/hook", "/other", 1)
	got := h.do(t, http.MethodPost, "/api/webhooks", other, "Idempotency-Key", "k")
	require.Equal(t, "idempotency_key_reused", got.problem(t).Code)

	got = h.do(t, http.MethodGet, path, "")
	require.NotContains(t, got.body, "secret\":", "it is shown once")
	require.Equal(t, made.Webhook, decode[api.Webhook](t, got))
	require.Len(t, decode[api.WebhookPage](t, h.do(t, http.MethodGet, "/api/webhooks", "")).Webhooks, 1)

	changed := decode[api.Webhook](t, h.do(t, http.MethodPatch, path, `{"enabled":false,"eventTypes":["OrderCreated"]}`))
	require.False(t, changed.Enabled)
	require.Equal(t, api.WebhookDisabledReason("owner"), changed.DisabledReason)
	require.Equal(t, []api.WebhookEventType{"OrderCreated"}, changed.EventTypes)
	require.Equal(t, "d", changed.Description)
	require.Equal(t, "webhook_disabled", h.do(t, http.MethodPost, path+"/ping", "").problem(t).Code)
	decode[api.Webhook](t, h.do(t, http.MethodPatch, path, `{"enabled":true}`))

	rotated := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, path+"/secret", "", "Idempotency-Key", "r"))
	require.NotEqual(t, made.Secret, rotated.Secret)
	require.NotNil(t, rotated.RotatedUntil)
	again := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, path+"/secret", "", "Idempotency-Key", "r"))
	require.Equal(t, rotated.Secret, again.Secret, "a repeated request must not rotate again")
	require.Equal(t, "secret_rotating", h.do(t, http.MethodPost, path+"/secret", "").problem(t).Code)
	ended := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, path+"/secret", `{"previousValidSeconds":0}`))
	require.Nil(t, ended.RotatedUntil)

	require.Equal(t, http.StatusNoContent, h.do(t, http.MethodDelete, path, "").status)
	require.Equal(t, "webhook_not_found", h.do(t, http.MethodGet, path, "").problem(t).Code)
	require.Equal(t, "webhook_not_found", h.do(t, http.MethodDelete, path, "").problem(t).Code)
	require.Empty(t, decode[api.WebhookPage](t, h.do(t, http.MethodGet, "/api/webhooks", "")).Webhooks)
	fresh := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody, "Idempotency-Key", "k"))
	require.NotEqual(t, made.WebhookID, fresh.WebhookID)
}

func TestWebhookDeliveries(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	made := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody))
	path := "/api/webhooks/" + made.WebhookID.String()
	var ids []orders.ID
	for range 5 {
		ping := decode[api.WebhookDelivery](t, h.do(t, http.MethodPost, path+"/ping", ""))
		require.Equal(t, api.DeliveryState("pending"), ping.State)
		ids = append([]orders.ID{ping.DeliveryID}, ids...)
	}
	w, list, ok, err := h.store.Deliveries.Take(t.Context(), made.WebhookID, 10)
	require.NoError(t, err)
	require.True(t, ok)
	attempted := make([]store.Attempted, len(list))
	for i, d := range list {
		attempted[i] = store.Attempted{ID: d.ID, State: store.DeliveryFailed, Attempt: store.Attempt{
			Number: 1, At: time.Now(), Took: time.Second, Status: 500, Error: "status 500", Response: "no",
		}}
		if d.ID == ids[0] {
			attempted[i].State, attempted[i].Error, attempted[i].Status = store.DeliveryDelivered, "", 200
		}
	}
	require.NoError(t, h.store.Deliveries.Record(t.Context(), w.ID, attempted, store.Health{}, "", ""))

	var got []orders.ID
	for next := path + "/deliveries?limit=2&state=failed"; next != ""; {
		a := h.do(t, http.MethodGet, next, "")
		for _, d := range decode[api.WebhookDeliveryPage](t, a).Deliveries {
			got = append(got, d.DeliveryID)
			require.Equal(t, "status 500", d.Log[0].Error)
			require.Empty(t, d.Payload)
		}
		next, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
	}
	require.Equal(t, ids[1:], got)

	one := decode[api.WebhookDelivery](t, h.do(t, http.MethodGet, path+"/deliveries/"+ids[1].String(), ""))
	require.Contains(t, one.Payload, `"type":"Ping"`)
	require.Equal(t, "no", one.Log[0].Response)
	missing := path + "/deliveries/" + made.WebhookID.String()
	require.Equal(t, "delivery_not_found", h.do(t, http.MethodGet, missing, "").problem(t).Code)
	require.Equal(t, "delivery_not_found", h.do(t, http.MethodPost, missing+"/redeliver", "").problem(t).Code)

	for range 2 {
		a := h.do(t, http.MethodPost, path+"/deliveries/"+ids[1].String()+"/redeliver", "")
		require.Equal(t, api.DeliveryState("pending"), decode[api.WebhookDelivery](t, a).State)
	}
	since := func(extra string) int {
		body := fmt.Sprintf(`{"since":%q%s}`, time.Now().Add(-time.Hour).Format(time.RFC3339), extra)
		return decode[api.Redelivered](t, h.do(t, http.MethodPost, path+"/redeliver", body)).Deliveries
	}
	require.Equal(t, 3, since(""), "what is pending is none of them")
	require.Equal(t, 1, since(`,"includeDelivered":true`))
	require.Zero(t, since(""))
}

// An owner neither sees nor changes webhooks of other owners, and a customer hears only of its own orders.
func TestWebhooksAreTheirOwners(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	second := h.key(t, roles.Customer) // of the same customer
	stranger := h.key(t, roles.Service)
	as := func(key string) []string { return []string{"Authorization", "Bearer " + key} }
	create := func(key, body string) answer { return h.do(t, http.MethodPost, "/api/webhooks", body, as(key)...) }

	customer := decode[api.WebhookWithSecret](t, create(keys[roles.Customer], hookBody))
	require.Equal(t, ownCustomer, customer.CustomerID)
	theirs := strings.Replace(hookBody, "{", `{"customerId":"`+otherCustomer+`",`, 1)
	require.Equal(t, http.StatusForbidden, create(keys[roles.Customer], theirs).status)
	service := decode[api.WebhookWithSecret](t, create(keys[roles.Service], theirs))
	require.Equal(t, otherCustomer, service.CustomerID)
	system := strings.Replace(hookBody, "Ping", "BreakerOpen", 1)
	for _, role := range []roles.Role{roles.Service, roles.Customer} {
		require.Equal(t, http.StatusUnprocessableEntity, create(keys[role], system).status, "%s is not an operator", role)
	}

	visible := func(key string) (ids []orders.ID) {
		for _, w := range decode[api.WebhookPage](t, h.do(t, http.MethodGet, "/api/webhooks", "", as(key)...)).Webhooks {
			ids = append(ids, w.WebhookID)
		}
		return ids
	}
	require.Equal(t, []orders.ID{customer.WebhookID}, visible(keys[roles.Customer]))
	require.Equal(t, []orders.ID{customer.WebhookID}, visible(second))
	require.Equal(t, []orders.ID{service.WebhookID}, visible(keys[roles.Service]))
	require.Empty(t, visible(stranger))
	require.Empty(t, visible(keys[roles.Operator]))
	require.Equal(t, []orders.ID{customer.WebhookID, service.WebhookID}, visible(keys[roles.Admin]))

	ping := decode[api.WebhookDelivery](t, h.do(t, http.MethodPost,
		"/api/webhooks/"+service.WebhookID.String()+"/ping", "", as(keys[roles.Service])...))
	tried := 0
	for _, op := range operations(t) {
		if !strings.Contains(op.path, "{webhookId}") {
			continue
		}
		tried++
		if op.body != "" {
			op.body = `{"since":"2026-11-22T12:00:00Z"}`
			if op.id == "updateWebhook" || op.id == "rotateWebhookSecret" {
				op.body = `{}`
			}
		}
		call := func(key, webhook string) answer {
			path := strings.NewReplacer("{webhookId}", webhook, "{deliveryId}", ping.DeliveryID.String()).Replace(op.path)
			return h.as(t, key, op, path, "*/*")
		}
		for _, key := range []string{keys[roles.Customer], stranger, keys[roles.Operator]} {
			others, missing := call(key, service.WebhookID.String()), call(key, orders.ID{15: 1}.String())
			require.Equal(t, http.StatusNotFound, others.status, "%s: %s", op.id, others.body)
			require.Equal(t, missing, others, "%s: another's webhook is like a missing one", op.id)
		}
	}
	require.Equal(t, 9, tried)

	log, err := h.store.Audit.List(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, roles.Operator, log[0].Role)
	require.Equal(t, orders.ID{15: 1}.String(), log[0].Target)
}

// There are so many webhooks and no more, also if they are created at the same time.
func TestWebhooksAreLimited(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	const asked = store.MaxWebhooks + 5
	statuses := make(chan int, asked)
	for i := range asked {
		go func() {
			for status := http.StatusServiceUnavailable; ; {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+"/api/webhooks", strings.NewReader(hookBody))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Idempotency-Key", fmt.Sprint(i))
				if response, err := h.Client().Do(r); err == nil {
					_ = response.Body.Close()
					status = response.StatusCode
				}
				if status != http.StatusServiceUnavailable || t.Context().Err() != nil { // they wait for each other
					statuses <- status
					return
				}
			}
		}()
	}
	count := map[int]int{}
	for range asked {
		count[<-statuses]++
	}
	require.Equal(t, map[int]int{http.StatusCreated: store.MaxWebhooks, http.StatusConflict: 5}, count)
}

// What evidently leads inside is refused when it is registered; loopback is not where it was allowed.
func TestWebhookAddress(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	const inside = `{"url":"http://127.0.0.1:9/hook"}`
	p := h.do(t, http.MethodPost, "/api/webhooks", inside).problem(t)
	require.Equal(t, http.StatusUnprocessableEntity, p.Status)
	require.Equal(t, "body.url", p.Errors[0].Location)
	made := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody))
	p = h.do(t, http.MethodPatch, "/api/webhooks/"+made.WebhookID.String(), inside).problem(t)
	require.Equal(t, "body.url", p.Errors[0].Location)

	open := serve(t, storetest.Pool(t), func(c *api.Config) {
		c.Webhooks = webhook.Policy{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	})
	require.Equal(t, http.StatusCreated, open.do(t, http.MethodPost, "/api/webhooks", inside).status)
}

// The data of a message is the event as the API has it, and no field less.
func TestWebhookHasTheEvent(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	id := storetest.Order(t, h.store).ID
	h.apply(t, completion(id)...)
	events, err := h.store.Orders.Events(t.Context(), id, 0, 100)
	require.NoError(t, err)
	var shown struct{ Events []map[string]any }
	answered := h.do(t, http.MethodGet, "/api/orders/"+id.String()+"/events", "")
	require.NoError(t, json.Unmarshal([]byte(answered.body), &shown))
	require.Len(t, shown.Events, len(events))
	for i, e := range events {
		var sent struct{ Data map[string]any }
		require.NoError(t, json.Unmarshal([]byte(webhook.Body(e, "1", orders.ID{})), &sent))
		delete(sent.Data, "customerId")
		require.Equal(t, shown.Events[i], sent.Data)
	}
}

func TestWebhookUnstorable(t *testing.T) {
	t.Parallel()
	h := serve(t, storetest.Pool(t))
	made := decode[api.WebhookWithSecret](t, h.do(t, http.MethodPost, "/api/webhooks", hookBody))
	path := "/api/webhooks/" + made.WebhookID.String()
	got := h.do(t, http.MethodPatch, path, `{"description":"\u0000"}`).problem(t)
	require.Equal(t, "body.description", got.Errors[0].Location)
	for _, field := range []string{"description", "customerId"} {
		body := `{"url":"https://shop.example.com/hook","` + field + `":"\u0000"}`
		require.Equal(t, "body."+field, h.do(t, http.MethodPost, "/api/webhooks", body).problem(t).Errors[0].Location)
	}
}
