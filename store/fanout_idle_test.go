package store_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// meanwhile is a database on which something happens right after a query of that name.
type meanwhile struct {
	store.DB
	name string
	do   func()
}

type meanwhileTx struct {
	pgx.Tx
	m meanwhile
}

type meanwhileRow struct {
	pgx.Row
	do func()
}

func (m meanwhile) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := m.DB.Begin(ctx)
	return meanwhileTx{tx, m}, err
}

func (t meanwhileTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	row := t.Tx.QueryRow(ctx, sql, args...)
	if strings.Contains(sql, "name: "+t.m.name+" ") {
		return meanwhileRow{row, t.m.do}
	}
	return row
}

func (r meanwhileRow) Scan(values ...any) error {
	defer r.do()
	return r.Row.Scan(values...)
}

// A webhook that is made while the fan-out skips events without a webhook hears of events from then on.
func TestFanOutFirstWebhook(t *testing.T) {
	t.Parallel()
	// What happens below has to be in the log before the fan-out has taken too long, whatever other tests are doing.
	server := ownServer(t, map[string]string{"fsync": "off", "autovacuum": "off"})
	pool, err := store.NewPool(t.Context(), server.DSN("postgres")+storetest.SearchPath, "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, store.Migrate(t.Context(), pool, slog.New(slog.DiscardHandler)))
	s := storetest.New(t, pool)
	gone := makeWebhook(t, s)
	require.NoError(t, s.Webhooks.Delete(t.Context(), hookOwner, gone.ID))
	var w store.Webhook
	fanning := storetest.New(t, meanwhile{pool, "WebhooksIdle", func() {
		w = makeWebhook(t, s)
		storetest.Order(t, s)
		awaitLog(t, s, 1)
	}})
	done, err := fanning.Deliveries.FanOut(t.Context(), body)
	require.NoError(t, err)
	require.True(t, done.Idle)
	fanOutAll(t, s, 1)
	require.Len(t, deliveriesOf(t, s, w), 1)
}
