package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// remoteShop is an API in a process of its own, with keys of its roles, and no workers.
type remoteShop struct {
	*instance
	store *store.Store
	keys  map[string]string // files, by role
}

func startShop(t *testing.T) *remoteShop {
	t.Helper()
	database := storetest.URL(t)
	pool, err := store.NewPool(t.Context(), database, "test", 2)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := &remoteShop{store: storetest.New(t, pool), keys: map[string]string{}}
	for _, role := range []string{"operator", "viewer"} {
		s.keys[role] = filepath.Join(t.TempDir(), role)
		require.NoError(t, os.WriteFile(s.keys[role], []byte(createKey(t, database, role)+"\n"), 0o600))
	}
	s.instance = startProcess(t, "api", "--database-url", storetest.As(database, storetest.ServeRole),
		"--api-addr", "127.0.0.1:0", "--ops-addr", "127.0.0.1:0", "--api-connections", "4")
	return s
}

// command runs a command against an address with the key of a role.
func (s *remoteShop) command(ctx context.Context, role, url string, args ...string) (stdout, stderr string, err error) {
	var out, log bytes.Buffer
	err = run(ctx, append(args, "--url", url, "--key-file", s.keys[role]), &out, &log)
	return out.String(), log.String(), err
}

// stuck places an order whose payment cannot be released.
func (s *remoteShop) stuck(t *testing.T) orders.ID {
	t.Helper()
	id := storetest.Order(t, s.store).ID
	for _, e := range []orders.Event{
		storetest.Outcome(id, orders.AuthorizePayment, orders.StepSucceeded),
		storetest.Outcome(id, orders.ReserveInventory, orders.StepRefused),
		storetest.Outcome(id, orders.QuoteShipping, orders.StepSucceeded),
		storetest.Outcome(id, orders.VoidPayment, orders.StepRefused),
	} {
		_, err := s.store.Orders.Apply(t.Context(), []orders.Event{e})
		require.NoError(t, err)
	}
	return id
}

// TestOrdersCommands: an operator reads, cancels and settles orders with the command line. What the API refuses is a
// sentence, and an exit status of its own.
func TestOrdersCommands(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	open, stuck := storetest.Order(t, s.store).ID.String(), s.stuck(t).String()
	command := func(role string, args ...string) (stdout, stderr string, err error) {
		return s.command(t.Context(), role, s.api, args...)
	}
	says := func(role string, args ...string) string {
		t.Helper()
		out, _, err := command(role, args...)
		require.NoError(t, err)
		return out
	}
	refuses := func(role, text string, args ...string) {
		t.Helper()
		out, _, err := command(role, args...)
		require.ErrorContains(t, err, text)
		require.Equal(t, 3, exitStatus(err))
		require.Empty(t, out)
	}

	out := says("viewer", "orders", "get", stuck)
	require.Regexp(t, `^`+stuck+`  needs_attention  version 5\n`, out)
	require.Regexp(t, `(?m)^void_payment:1 +refused +20\S+Z +20\S+Z +- +refused$`, out)
	require.Contains(t, out, "Total 209.97 USD")
	require.Contains(t, says("viewer", "orders", "get", stuck, "--json"), `"status":"needs_attention"`)

	out, more, err := command("viewer", "orders", "list", "--limit", "1")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^`+stuck+` +needs_attention +1 +209.97 USD `, out)
	require.NotContains(t, out, open)
	require.Regexp(t, `^There are more orders: --cursor \S+\n$`, more)
	cursor := more[len("There are more orders: --cursor ") : len(more)-1]
	out = says("viewer", "orders", "list", "--limit", "1", "--cursor", cursor)
	require.Contains(t, out, open)
	require.NotContains(t, out, stuck)
	out = says("viewer", "orders", "list", "--status", "needs_attention", "--from", "2026-01-01T00:00:00Z", "--json")
	require.Contains(t, out, stuck)
	require.NotContains(t, out, open)
	require.Contains(t, says("viewer", "orders", "explain", open), "no process with workers is alive")

	settle := []string{
		"orders", "settle", stuck, "--action", "accept", "--step", "void_payment", "--outcome", "succeeded",
		"--reference", "v_1", "--reason", "The bank released it", "--idempotency-key", "ticket-7",
	}
	refuses("viewer", "(403 forbidden, request ", settle...)
	refuses("operator", "changed since the version", append(settle, "--if-version", "4")...)
	refuses("operator", "Only an order that needs attention can be settled", "orders", "settle", open, "--action", "retry",
		"--reason", "r")
	refuses("operator", "body.outcome", "orders", "settle", stuck, "--action", "accept", "--reason", "r")
	for range 2 { // the second time, it is the answer of the first
		require.Regexp(t, `(?m)^void_payment:1 +succeeded .* v_1 `, says("operator", append(settle, "--if-version", "5")...))
	}

	require.Regexp(t, `^`+open+`  processing  version 2`, says("operator", "orders", "cancel", open, "--if-version", "1"))
	refuses("operator", "can no longer be cancelled (409 order_not_cancellable, request ", "orders", "cancel", stuck)
	refuses("operator", "(404 order_not_found, request ", "orders", "get", orders.NewID().String())
	refuses("operator", "path.id", "orders", "get", "../keys")

	_, _, err = command("operator", "orders", "list", "--status", "lost", "--from", "noon")
	require.ErrorContains(t, err, "use pending, processing")
	require.ErrorContains(t, err, "use a moment such as")
	require.Equal(t, 2, exitStatus(err))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, _, err = s.command(t.Context(), "operator", gone.URL, "orders", "cancel", stuck)
	require.ErrorContains(t, err, "it may or may not have been done")
	require.Equal(t, 1, exitStatus(err), "a repetition may succeed")
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
	}))
	defer busy.Close()
	_, _, err = s.command(t.Context(), "operator", busy.URL, "orders", "get", stuck)
	require.EqualError(t, err, "the server answered 503 Service Unavailable")
	require.Equal(t, 1, exitStatus(err))
	require.Equal(t, 1, exitStatus(errors.New("any other")))
}
