package jobs_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/jobs"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/sandbox/simulator"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
	"github.com/millrace-orders/millrace/upstream"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// system is workers, providers and a database of a test's own.
type system struct {
	t         *testing.T
	pool      *pgxpool.Pool
	store     *store.Store
	simulator *simulator.Simulator
	providers *upstream.Clients
	client    *jobs.Client
	// ahead is how far the workers' clock is ahead of the real one.
	ahead atomic.Int64
	// onCall, if set, sees every call before the provider does.
	onCall func(*http.Request)
	// lies, if set, selects calls that the provider carries out and answers with a refusal.
	lies func(*http.Request) bool
	// silent, if set, selects calls that the provider ignores and answers with 503.
	silent func(*http.Request) bool
	// garbles, if set, chooses calls that are answered so, and whether the provider does what it is asked.
	garbles func(*http.Request) (answer *garbled, does bool)
	// retryAfter, if set, is how many seconds a garbled answer asks for.
	retryAfter string
	// listings are the statuses with which providers answer a request for a list, by the list's path.
	listings map[string]int
	// metrics are those of the workers, if a test wants them.
	metrics *prometheus.Registry
	// configure, if set, changes how the workers work.
	configure func(*jobs.Config)
}

// garbled is an answer that the contract does not know.
type garbled struct {
	status int
	body   string
}

func newSystem(t *testing.T, change ...func(*system, *upstream.Config)) *system {
	t.Helper()
	s := &system{t: t, pool: storetest.Pool(t)}
	logger := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))

	bell := store.NewDoorbell(s.pool, logger)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go bell.Run(ctx)
	var err error
	s.store, err = store.New(store.Config{DB: s.pool, Doorbell: bell})
	require.NoError(t, err)

	s.simulator, err = simulator.Open(simulator.Config{Seed: 1})
	require.NoError(t, err)
	providers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.onCall != nil {
			s.onCall(r)
		}
		if status := s.listings[r.URL.Path]; status != 0 {
			w.WriteHeader(status)
			return
		}
		var answer *garbled
		var does bool
		if s.garbles != nil {
			answer, does = s.garbles(r)
		}
		switch {
		case answer != nil:
			if does {
				s.simulator.Handler().ServeHTTP(httptest.NewRecorder(), r)
			}
			if s.retryAfter != "" {
				w.Header().Set("Retry-After", s.retryAfter)
			}
			w.WriteHeader(answer.status)
			_, _ = w.Write([]byte(answer.body))
		case s.silent != nil && s.silent(r):
			w.WriteHeader(http.StatusServiceUnavailable)
		case s.lies != nil && s.lies(r):
			s.simulator.Handler().ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"code":"lied"}`))
		default:
			s.simulator.Handler().ServeHTTP(w, r)
		}
	}))
	t.Cleanup(providers.Close)
	t.Cleanup(func() { _ = s.simulator.Close() })
	config := upstream.Config{
		URLs: map[orders.Provider]string{
			orders.Payment: providers.URL + "/payments", orders.Inventory: providers.URL + "/inventory",
			orders.Shipping: providers.URL + "/shipping", orders.Email: providers.URL + "/email",
		},
		Breaker: upstream.Breaker{OpenFor: 100 * time.Millisecond},
	}
	for _, f := range change {
		f(s, &config)
	}
	s.providers, err = upstream.New(config)
	require.NoError(t, err)
	t.Cleanup(s.providers.Close)

	workers := jobs.Config{
		Pool: s.pool, Store: s.store, Providers: s.providers, Logger: logger,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	}
	if s.configure != nil {
		s.configure(&workers)
	}
	s.client, err = jobs.NewClient(workers)
	require.NoError(t, err)
	return s
}

// start starts the workers; they stop with the test.
func (s *system) start() {
	s.t.Helper()
	require.NoError(s.t, s.client.Start(context.Background()))
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = s.client.StopAndCancel(ctx)
	})
}

func (s *system) place(change func(*orders.Placement)) orders.ID {
	s.t.Helper()
	p := storetest.Placement()
	if change != nil {
		change(&p)
	}
	placed, err := s.store.Orders.Place(s.t.Context(), []orders.Placement{p})
	require.NoError(s.t, err)
	return placed[0].Order.ID
}

func (s *system) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.pool.Exec(s.t.Context(), sql, args...)
	require.NoError(s.t, err)
}

func (s *system) cancel(id orders.ID) {
	s.t.Helper()
	_, err := s.store.Orders.Apply(s.t.Context(), []orders.Event{
		{OrderID: id, Kind: orders.CancelRequested, At: time.Now()},
	})
	require.NoError(s.t, err)
}

// await waits until the order is as wanted and returns it.
func (s *system) await(id orders.ID, what string, wanted func(orders.Order) bool) orders.Order {
	s.t.Helper()
	var order orders.Order
	require.Eventually(s.t, func() bool {
		var err error
		order, err = s.store.Orders.Get(s.t.Context(), id)
		return err == nil && wanted(order)
	}, 60*time.Second, 10*time.Millisecond, "waiting for %s", what)
	return order
}

func (s *system) awaitStatus(id orders.ID, status orders.Status) orders.Order {
	s.t.Helper()
	return s.await(id, string(status), func(o orders.Order) bool { return o.Status.AtRest() && o.Status == status })
}

// awaitNoJobs waits until there is nothing left to do.
func (s *system) awaitNoJobs() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		var open int
		err := s.pool.QueryRow(s.t.Context(), `SELECT count(*) FROM river_job
			WHERE kind <> 'sweep' AND state IN ('available', 'running', 'retryable', 'scheduled')`).Scan(&open)
		return err == nil && open == 0
	}, 60*time.Second, 10*time.Millisecond)
}

// effects counts what really happened at the providers for an order, by operation.
func (s *system) effects(id orders.ID) map[string]int {
	effects := map[string]int{}
	for _, entry := range s.simulator.Ledger() {
		if entry.OrderID == id.String() {
			effects[entry.Operation]++
		}
	}
	require.Empty(s.t, s.simulator.Summary().Violations)
	return effects
}
