package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// shown collects every text that an answer shows: of its JSON, of its event stream and of its headers.
type shown map[string]bool

func (s shown) answer(a answer) {
	for _, values := range a.header {
		for _, value := range values {
			s.text(value)
		}
	}
	for line := range strings.Lines(a.body) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
		var v any
		if json.Unmarshal([]byte(line), &v) == nil {
			s.value(v)
		} else {
			s.text(line)
		}
	}
}

func (s shown) value(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			s.text(name)
			s.value(member)
		}
	case []any:
		for _, element := range v {
			s.value(element)
		}
	case string:
		s.text(v)
	}
}

var identifierParts = regexp.MustCompile(`[^\s"<>?&=;,/]+`)

// text takes a text whole and in its parts: an id may stand in a link or a sentence.
func (s shown) text(text string) {
	s[text] = true
	for _, part := range identifierParts.FindAllString(text, -1) {
		s[part] = true
		if unescaped, err := url.QueryUnescape(part); err == nil {
			s[unescaped] = true
		}
	}
}

// TestIdentifiersOpenNothing: what the API shows names things, and none of it is a credential, alone or behind a word
// that the server may put before it, while the keys and tickets that it names are in use.
func TestIdentifiersOpenNothing(t *testing.T) {
	t.Parallel()
	frozen := time.Now() // so that what was verified once stays so
	h := live(t, func(c *api.Config) {
		c.Auth = auth.New(auth.Config{
			Keys: c.Store.Credentials, Timeout: time.Minute, Token: "bootstrap-token-of-32-characters",
			Now: func() time.Time { return frozen },
		})
	})
	seen, keys := shown{}, map[roles.Role]string{}
	var tickets []string
	for _, role := range roles.All() {
		keys[role] = h.key(t, role)
		seen[keys[role][3:15]] = true
		tickets = append(tickets, h.ticket(t, "", "Authorization", "Bearer "+keys[role]))
	}
	use := func() {
		for _, ticket := range tickets {
			require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/events?after=end&ticket="+ticket, "").status)
		}
		for _, key := range keys {
			require.Equal(t, http.StatusOK, h.do(t, http.MethodGet, "/api/orders", "", "Authorization", "Bearer "+key).status)
		}
	}
	use()
	id, webhooks := h.populate(t, keys, seen)
	for _, op := range operations(t) {
		for _, role := range []roles.Role{roles.Admin, roles.Customer} {
			for _, hook := range webhooks {
				path := strings.NewReplacer("{id}", id.String(), "{customerId}", ownCustomer, "{userId}", ownCustomer,
					"{productId}", "1", "{webhookId}", hook.webhook, "{deliveryId}", hook.delivery).Replace(op.path)
				if op.method == http.MethodGet {
					for _, accept := range op.accepts {
						if accept != "text/event-stream" {
							seen.answer(h.as(t, keys[role], op, path, accept))
						}
					}
				}
			}
		}
	}
	log, err := h.store.Audit.List(t.Context(), 100)
	require.NoError(t, err)
	entries, err := json.Marshal(log)
	require.NoError(t, err)
	seen.answer(answer{body: string(entries)})
	for _, secret := range append(tickets, keys[roles.Admin]) {
		delete(seen, secret)
	}
	require.True(t, seen[id.String()] && seen[keys[roles.Operator][3:15]] && seen[webhooks[0].delivery])

	before := []string{
		"", "key ", "key:", "ticket ", "token ", "principal ", "principal:", "customer ", "oidc:",
		"mr_", "Bearer ",
	}
	authenticator := h.auth
	for text := range seen {
		for _, prefix := range before {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+prefix+text)
			_, err = authenticator.Authenticate(r, false)
			require.ErrorIs(t, err, auth.ErrUnauthorized, "as a token: %q", prefix+text)
			r.SetBasicAuth("any", prefix+text)
			_, err = authenticator.Authenticate(r, true)
			require.ErrorIs(t, err, auth.ErrUnauthorized, "as a password: %q", prefix+text)
		}
	}
	// Over HTTP, while the keys are in use, those that name keys, orders and webhooks.
	use()
	for text := range seen {
		if !regexp.MustCompile(`^([a-z2-7]{12}|[0-9a-f-]{36}|[0-9a-zA-Z_.-]{10,60})$`).MatchString(text) {
			continue
		}
		got := h.do(t, http.MethodGet, "/api/events?after=end&ticket="+text, "")
		require.Equal(t, http.StatusUnauthorized, got.status, "as a ticket: %q", text)
		for _, prefix := range []string{"", "key "} {
			got := h.do(t, http.MethodGet, "/api/system/status", "", "Authorization", "Bearer "+prefix+text)
			require.Equal(t, http.StatusUnauthorized, got.status, "%q", prefix+text)
		}
	}
}

type shownWebhook struct{ webhook, delivery string }

// populate makes one of everything that has an identifier: orders in several states, commands by every role, webhooks
// with messages.
func (h *harness) populate(t *testing.T, keys map[roles.Role]string, seen shown) (id orders.ID, hooks []shownWebhook) {
	t.Helper()
	as := func(role roles.Role) []string {
		return []string{"Authorization", "Bearer " + keys[role], "Idempotency-Key", "k-" + string(role)}
	}
	for _, role := range []roles.Role{roles.Admin, roles.Service, roles.Customer} {
		got := h.do(t, http.MethodPost, "/api/webhooks", strings.Replace(hookBody, `,"OrderCreated"`, "", 1), as(role)...)
		made := decode[api.WebhookWithSecret](t, got)
		seen.answer(got)
		got = h.do(t, http.MethodPost, "/api/webhooks/"+made.WebhookID.String()+"/ping", "", as(role)...)
		seen.answer(got)
		hooks = append(hooks, shownWebhook{
			made.WebhookID.String(), decode[api.WebhookDelivery](t, got).DeliveryID.String(),
		})
	}
	for _, role := range []roles.Role{roles.Operator, roles.Service, roles.Customer} {
		got := h.do(t, http.MethodPost, "/api/orders", seedBody, as(roles.Service)[0], as(roles.Service)[1])
		seen.answer(got)
		id = got.order(t).OrderID
		seen.answer(h.do(t, http.MethodPost, "/api/orders/"+id.String()+"/cancel", "", as(role)...))
	}
	attention, _ := h.attention(t)
	seen.answer(h.do(t, http.MethodGet, "/api/orders/"+attention.String(), "", as(roles.Admin)...))
	require.NoError(t, h.store.Inventory.Replace(t.Context(), []orders.Stock{{ProductID: 1, Quantity: 1}}, time.Now()))
	_, err := h.store.Credentials.RevokeKeys(t.Context(), []string{storeKey(t, h)}, store.Actor{Name: "cli:test"})
	require.NoError(t, err)
	return id, hooks
}

// storeKey makes a key to be revoked.
func storeKey(t *testing.T, h *harness) string {
	t.Helper()
	made, err := storetest.New(t, h.pool).Credentials.MakeKeys(t.Context(), []store.NewKey{{Role: roles.Viewer}},
		store.Actor{Name: "t"})
	require.NoError(t, err)
	return made[0].ID
}
