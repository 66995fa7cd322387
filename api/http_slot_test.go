package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/api"
	"github.com/millrace-orders/millrace/store/storetest"
)

// panickingDB panics at the queries with a name while it is broken.
type panickingDB struct {
	*pgxpool.Pool
	query  string
	broken atomic.Bool
	panics atomic.Int64
}

func (p *panickingDB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if p.broken.Load() && strings.Contains(sql, "name: "+p.query+" ") {
		p.panics.Add(1)
		panic("test")
	}
	return p.Pool.Query(ctx, sql, args...)
}

// TestSlotsAfterPanics: a request that panics gives back what it holds of what callers share.
func TestSlotsAfterPanics(t *testing.T) {
	t.Parallel()
	place := func(h *harness) answer {
		return h.do(t, http.MethodPost, "/api/orders", seedBody, "Prefer", "wait=1")
	}
	for _, tt := range []struct {
		name, query string
		slots       int
		ask         func(h *harness)
		works       func(h *harness) bool
	}{
		{
			name: "Exports", query: "OrdersExport", slots: 8,
			ask: func(h *harness) {
				require.Equal(t, http.StatusInternalServerError, h.do(t, http.MethodGet, "/api/orders/export", "").status)
			},
			works: func(h *harness) bool {
				return h.do(t, http.MethodGet, "/api/orders/export", "").status == http.StatusOK
			},
		},
		{
			name: "WaitingPlacements", query: "OrdersRead", slots: 1,
			ask:   func(h *harness) { require.Equal(t, http.StatusInternalServerError, place(h).status) },
			works: func(h *harness) bool { return place(h).header.Get("Preference-Applied") != "" },
		},
		{
			name: "Streams", query: "LogRead", slots: 1,
			ask: func(h *harness) {
				_, err := io.Copy(io.Discard, h.openSoon(t, "/api/events?after=start").Body)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			},
			works: func(h *harness) bool { return h.follow(t, "/api/events?after=end").StatusCode == http.StatusOK },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := &panickingDB{Pool: storetest.Pool(t), query: tt.query}
			h := serve(t, db, func(c *api.Config) { c.MaxStreams = tt.slots })
			storetest.Order(t, h.store)
			db.broken.Store(true)
			for n := range int64(tt.slots + 1) {
				tt.ask(h)
				require.Equal(t, n+1, db.panics.Load())
			}
			db.broken.Store(false)
			require.Eventually(t, func() bool { return tt.works(h) }, time.Minute, 10*time.Millisecond)
		})
	}
}
