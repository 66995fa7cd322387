package jobs

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store/storetest"
)

// A process is alive for the others, however long it takes to give away the jobs of one that is not.
func TestHeartbeatsDuringRecovery(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	r := NewRecovery(storetest.New(t, pool), nil, slog.New(slog.DiscardHandler), nil)
	r.every, r.trust = time.Millisecond, 0
	recovering, begin := make(chan struct{}), sync.Once{}
	r.give = func(ctx context.Context) error {
		begin.Do(func() { close(recovering) })
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	<-recovering
	beat := func() (at time.Time) {
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT heartbeat_at FROM millrace.instances").Scan(&at))
		return at
	}
	before := beat()
	require.Eventually(t, func() bool { return beat().After(before) }, time.Minute, time.Millisecond)
	cancel()
	<-ended
	left := -1
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM millrace.instances").Scan(&left))
	require.Zero(t, left, "it leaves at the end")
}

// Others hear at once of a breaker that opens or closes.
func TestShutQueuesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	r := NewRecovery(storetest.New(t, pool), nil, slog.New(slog.DiscardHandler), nil)
	r.every, r.look = time.Hour, time.Millisecond
	var shut atomic.Pointer[[]string]
	shut.Store(&[]string{})
	r.shut = func() []string { return *shut.Load() }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	for _, queues := range [][]string{{}, {"payment"}, {"payment", "shipping"}, {}} {
		shut.Store(&queues)
		require.Eventually(t, func() bool {
			var told []string
			err := pool.QueryRow(t.Context(), "SELECT shut_queues FROM millrace.instances").Scan(&told)
			return err == nil && len(told) == len(queues)
		}, time.Minute, time.Millisecond, queues)
	}
	cancel()
	<-ended
}
