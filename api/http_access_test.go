package api_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
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

// The customer of the document's example, and another one, whose orders have the canary in them.
const (
	ownCustomer   = "1"
	otherCustomer = "2"
	canary        = "canary-7f3a9c"
)

// operation is what the document says of one.
type operation struct {
	method, path, id string
	roles            []roles.Role
	public           bool // needs no credential
	body             string
	accepts          []string
}

func operations(t *testing.T) (list []operation) {
	t.Helper()
	asJSON, err := document()
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []any
			Roles       []roles.Role `json:"x-roles"`
			RequestBody struct {
				Content map[string]struct{ Example json.RawMessage }
			}
			Responses map[string]struct{ Content map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal(asJSON, &doc))
	for path, item := range doc.Paths {
		for method, op := range item {
			o := operation{
				method: strings.ToUpper(method), path: path, id: op.OperationID, roles: op.Roles,
				public: len(op.Security) == 0,
			}
			if content, ok := op.RequestBody.Content["application/json"]; ok {
				o.body = "{}"
				if content.Example != nil {
					o.body = string(content.Example)
				}
			}
			for code, response := range op.Responses {
				if code[0] == '2' {
					o.accepts = append(o.accepts, slices.Collect(maps.Keys(response.Content))...)
				}
			}
			if o.accepts == nil { // the answer has no body
				o.accepts = []string{"*/*"}
			}
			list = append(list, o)
		}
	}
	require.NotEmpty(t, list)
	return list
}

// An operation says which roles may call it, unless it needs no credential.
func TestEveryOperationHasAPermission(t *testing.T) {
	t.Parallel()
	for _, op := range operations(t) {
		require.Equal(t, op.public, len(op.roles) == 0,
			"%s: only an operation for callers without a credential has no roles", op.id)
	}
}

// docs/security.md says in a table who may do what. It is right.
func TestSecurityDocument(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` +\\| (.+) \\|$").FindAllStringSubmatch(string(page), -1)
	documented := map[string][]roles.Role{}
	for _, row := range rows {
		cells := strings.Split(row[2], "|")
		require.Len(t, cells, len(roles.All()), row[0])
		documented[row[1]] = []roles.Role{}
		for i, role := range roles.All() {
			if cell := strings.TrimSpace(cells[i]); cell != "" {
				documented[row[1]] = append(documented[row[1]], role)
			}
		}
	}
	want := map[string][]roles.Role{}
	for _, op := range operations(t) {
		if !op.public {
			want[op.id] = op.roles
		}
	}
	require.Equal(t, want, documented)
}

// secured is an API that asks for keys, on a database of its own, with a key of each role.
func secured(t *testing.T) (h *harness, keys map[roles.Role]string) {
	t.Helper()
	h = serve(t, storetest.Pool(t), func(c *api.Config) {
		c.Auth = auth.New(auth.Config{Keys: c.Store.Credentials, Timeout: time.Minute})
	})
	keys = map[roles.Role]string{}
	for _, role := range roles.All() {
		keys[role] = h.key(t, role)
	}
	return h, keys
}

// key makes a key; a customer's is ownCustomer's.
func (h *harness) key(t *testing.T, role roles.Role) string {
	t.Helper()
	request := store.NewKey{Role: role}
	if role == roles.Customer {
		request.CustomerID = ownCustomer
	}
	made, err := h.store.Credentials.MakeKeys(t.Context(), []store.NewKey{request}, store.Actor{Name: "test"})
	require.NoError(t, err)
	return made[0].Text
}

// placeFor places an order in the store; another customer's has the canary in it.
func (h *harness) placeFor(t *testing.T, customer string) orders.ID {
	t.Helper()
	p := storetest.Placement()
	p.CustomerID = customer
	if customer == otherCustomer {
		p.PaymentMethod = canary
	}
	placed, err := h.store.Orders.Place(t.Context(), []orders.Placement{p})
	require.NoError(t, err)
	return placed[0].Order.ID
}

// as sends a request as the holder of a key. Of a stream it reads no more than the beginning.
func (h *harness) as(t *testing.T, key string, op operation, path, accept string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), op.method, h.URL+path, strings.NewReader(op.body))
	require.NoError(t, err)
	if op.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("X-Request-Id", "same")
	response, err := h.Client().Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.Header.Get("Content-Type") == "text/event-stream" {
		return answer{status: response.StatusCode, header: response.Header}
	}
	b, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	response.Header.Del("Date")
	return answer{response.StatusCode, response.Header, string(b)}
}

// Every role, at every operation of the document in every form it answers in, on its own order, on another
// customer's, and on one that does not exist. To a customer the last two are the same to the byte.
func TestAccess(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	require.NoError(t, h.store.Inventory.Replace(t.Context(), []orders.Stock{{ProductID: 1, Quantity: 1}}, time.Now()))
	pairs := 0
	for _, op := range operations(t) {
		for _, accept := range op.accepts {
			unknown := h.as(t, "", op, strings.NewReplacer("{", "", "}", "").Replace(op.path), accept)
			require.Equal(t, op.public, unknown.status != http.StatusUnauthorized, "%s without a credential", op.id)
			if op.public {
				continue
			}
			// Of each operation's own: one forgets a customer, and would leave nothing to leak to those after it.
			own, other := h.placeFor(t, ownCustomer), h.placeFor(t, otherCustomer)
			for role, key := range keys {
				pairs++
				if op.method != http.MethodGet && strings.Contains(op.path, "{") { // it may have changed them
					own, other = h.placeFor(t, ownCustomer), h.placeFor(t, otherCustomer)
				}
				call := func(order orders.ID, customer string) answer {
					path := strings.NewReplacer("{id}", order.String(), "{customerId}", customer, "{lane}", "payment").Replace(op.path)
					path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "1")
					got := h.as(t, key, op, path, accept)
					require.Less(t, got.status, 500, "%s as %s: %s", op.id, role, got.body)
					if op.id == "stopIntake" && got.status == http.StatusOK { // or no more orders are placed
						require.NoError(t, h.store.Levers.StartIntake(t.Context(), store.Actor{Name: "test"}))
						require.NoError(t, h.store.Holds.Follow(t.Context(), h.store.Levers))
					}
					if role == roles.Customer {
						require.NotContains(t, got.body, canary, op.id)
						require.NotContains(t, got.body, other.String(), op.id)
					}
					return got
				}
				onOwn := call(own, ownCustomer)
				missing, onOther := onOwn, onOwn
				if strings.Contains(op.path, "{") { // the others are other requests
					missing, onOther = call(orders.ID{15: 1}, ownCustomer), call(other, otherCustomer)
				}
				switch aboutOne := strings.Contains(op.path, "{id}"); {
				case !slices.Contains(op.roles, role):
					for _, got := range []answer{missing, onOther, onOwn} {
						require.Equal(t, http.StatusForbidden, got.status, "%s as %s", op.id, role)
						require.Equal(t, "forbidden", got.problem(t).Code)
					}
				case aboutOne && role == roles.Customer:
					require.Equal(t, http.StatusNotFound, onOther.status, op.id)
					require.Equal(t, missing, onOther, "%s: another's order is like a missing one", op.id)
					requireAllowed(t, onOwn, op, role)
				case aboutOne:
					require.Equal(t, http.StatusNotFound, missing.status, op.id)
					requireAllowed(t, onOther, op, role)
					requireAllowed(t, onOwn, op, role)
				default:
					requireAllowed(t, onOwn, op, role)
				}
			}
		}
	}
	require.GreaterOrEqual(t, pairs, 5*len(roles.All()))
}

// requireAllowed requires that the caller's role did not matter.
func requireAllowed(t *testing.T, got answer, op operation, role roles.Role) {
	t.Helper()
	for _, refused := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		require.NotEqual(t, refused, got.status, "%s as %s: %s", op.id, role, got.body)
	}
}

// A customer places and lists for itself, whatever it says.
func TestCustomer(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	as := func(role roles.Role) []string { return []string{"Authorization", "Bearer " + keys[role]} }
	own, other := h.placeFor(t, ownCustomer), h.placeFor(t, otherCustomer)
	h.placeFor(t, otherCustomer)

	got := h.do(t, http.MethodGet, "/api/orders", "", as(roles.Customer)...)
	require.Contains(t, got.body, own.String())
	require.NotContains(t, got.body, other.String())
	require.Contains(t, h.do(t, http.MethodGet, "/api/orders", "", as(roles.Viewer)...).body, other.String())
	got = h.do(t, http.MethodGet, "/api/orders?customerId="+otherCustomer, "", as(roles.Customer)...)
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"orders":[]}`, got.body)

	var page api.OrderPage
	got = h.do(t, http.MethodGet, "/api/orders?limit=1", "", as(roles.Admin)...)
	require.NoError(t, json.Unmarshal([]byte(got.body), &page))
	got = h.do(t, http.MethodGet, "/api/orders?limit=1&cursor="+page.NextCursor, "", as(roles.Customer)...)
	require.Equal(t, http.StatusBadRequest, got.status, "the cursor of a list that it may not see")

	// Its own pages go on.
	h.placeFor(t, ownCustomer)
	got = h.do(t, http.MethodGet, "/api/orders?limit=1", "", as(roles.Customer)...)
	require.NoError(t, json.Unmarshal([]byte(got.body), &page))
	got = h.do(t, http.MethodGet, "/api/orders?limit=1&cursor="+page.NextCursor, "", as(roles.Customer)...)
	require.Contains(t, got.body, own.String())

	body := strings.Replace(seedBody, `"customerId":"1"`, `"customerId":"2"`, 1)
	got = h.do(t, http.MethodPost, "/api/orders", body, as(roles.Customer)...)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Equal(t, "forbidden", got.problem(t).Code)
	require.Equal(t, http.StatusAccepted, h.do(t, http.MethodPost, "/api/orders", body, as(roles.Service)...).status)

	// An idempotency key belongs to the principal that sent it.
	key := []string{"Idempotency-Key", "k"}
	first := h.do(t, http.MethodPost, "/api/orders", seedBody, append(key, as(roles.Customer)...)...).order(t)
	second := h.do(t, http.MethodPost, "/api/orders", seedBody, append(key, as(roles.Service)...)...).order(t)
	require.NotEqual(t, first.OrderID, second.OrderID)
}

// What an operator does to an order is in the audit log; what the shop's own service does is in the order's history.
func TestOperatorsAreAudited(t *testing.T) {
	t.Parallel()
	h, keys := secured(t)
	var operated []orders.ID
	for _, role := range []roles.Role{roles.Operator, roles.Admin, roles.Service, roles.Customer} {
		id := h.placeFor(t, ownCustomer)
		got := h.do(t, http.MethodPost, "/api/orders/"+id.String()+"/cancel", "", "Authorization", "Bearer "+keys[role],
			"X-Request-Id", string(role))
		require.Equal(t, http.StatusAccepted, got.status, got.body)
		operated = append(operated, id)
	}
	log, err := h.store.Audit.List(t.Context(), 2)
	require.NoError(t, err)
	for i, role := range []roles.Role{roles.Admin, roles.Operator} { // newest first
		require.Equal(t, role, log[i].Role)
		require.Equal(t, keys[role][3:15], log[i].Name)
		require.Equal(t, "cancelOrder", log[i].Action)
		require.Equal(t, operated[1-i].String(), log[i].Target)
		require.Equal(t, string(role), log[i].RequestID)
		require.Equal(t, "127.0.0.1", log[i].RemoteAddress)
	}
}
