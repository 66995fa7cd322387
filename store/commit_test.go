package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/store/storetest"
)

// commit is what a client sends to commit, in Postgres' protocol.
var commit = []byte("Q\x00\x00\x00\x0bcommit\x00")

// cancel begins what a client sends to have a statement cancelled, on a connection of its own.
var cancel = []byte("\x00\x00\x00\x10\x04\xd2\x16\x2e")

// proxy stands between a pool and its server, and can cut connections at the commit.
type proxy struct {
	cuts    atomic.Int64 // how many commits are still to be cut
	deliver atomic.Bool  // whether the commits that are cut reach the server
	leave   atomic.Bool  // whether the connection is cut before the server has answered, which cannot be cancelled
}

// throughProxy connects to a database through a proxy, with further settings of the sessions.
func throughProxy(t *testing.T, settings string) (*pgxpool.Pool, *proxy) {
	t.Helper()
	server, err := pgconn.ParseConfig(storetest.URL(t))
	require.NoError(t, err)
	network, address := pgconn.NetworkAddress(server.Host, server.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := new(proxy)
	var open sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.pass(client, network, address) })
		}
	})
	pool, err := store.NewPool(t.Context(), fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable"+storetest.SearchPath+"%s",
		url.PathEscape(server.User), listener.Addr(), server.Database, settings), "test", 4)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, p
}

func (p *proxy) pass(client net.Conn, network, address string) {
	defer client.Close()
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer client.Close()
		answer := make([]byte, 64<<10)
		for {
			n, err := server.Read(answer)
			if err != nil || cut.Load() {
				return
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	}()
	request := make([]byte, 64<<10)
	for {
		n, err := client.Read(request)
		if err != nil {
			return
		}
		if p.leave.Load() && bytes.HasPrefix(request[:n], cancel) {
			return
		}
		if bytes.Contains(request[:n], commit) && p.cuts.Add(-1) >= 0 {
			cut.Store(true)
			if p.deliver.Load() {
				_, _ = server.Write(request[:n])
				if p.leave.Load() {
					_ = client.Close()
				}
				<-answered // it is committed, and the answer is lost
			}
			return
		}
		if _, err := io.Copy(server, bytes.NewReader(request[:n])); err != nil {
			return
		}
	}
}

// TestCommitCutOff cuts the connection at the COMMIT, a hundred times, before and after the server got it. Each order
// is stored once, and its caller is told so.
func TestCommitCutOff(t *testing.T) {
	t.Parallel()
	pool, proxy := throughProxy(t, "&lock_timeout=60000") // the server may be slow to notice that a session was cut off
	s := storetest.New(t, pool)
	const all = 40
	for i := range all {
		p := storetest.Placement()
		if i%4 < 2 {
			p.IdempotencyKey = fmt.Sprint("key-", i)
		}
		proxy.deliver.Store(i%2 == 0)
		proxy.cuts.Store(1)
		placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		for proxy.cuts.Load() > 0 { // it was too slow to get as far as a commit
			require.ErrorIs(t, err, store.ErrUnavailable)
			placed, err = s.Orders.Place(t.Context(), []orders.Placement{p})
		}
		require.NoError(t, err)
		require.NoError(t, placed[0].Err)
		require.False(t, placed[0].Replayed, "it is this call that placed it")
		require.Negative(t, proxy.cuts.Load(), "the commit was cut, and done again")
		stored, err := s.Orders.Get(t.Context(), placed[0].Order.ID)
		require.NoError(t, err)
		require.Equal(t, int64(1), stored.Version)
		if p.IdempotencyKey != "" {
			again, err := s.Orders.Place(t.Context(), []orders.Placement{p})
			require.NoError(t, err)
			require.True(t, again[0].Replayed)
			require.Equal(t, placed[0].Order.ID, again[0].Order.ID)
		}
	}
	require.Equal(t, all, count(t, pool, "SELECT count(*) FROM orders"))
	require.Equal(t, all, count(t, pool, "SELECT count(*) FROM river_job"))
}

// TestCommitCutOffAgain cuts the repetitions of a placement as well, all but the last. The caller still gets an order.
func TestCommitCutOffAgain(t *testing.T) {
	t.Parallel()
	pool, proxy := throughProxy(t, "&lock_timeout=60000")
	s := storetest.New(t, pool)
	for i := range 8 {
		proxy.deliver.Store(i%2 == 0)
		require.NoError(t, again(func() error {
			const cuts = 3
			proxy.cuts.Store(cuts)
			p := storetest.Placement()
			p.IdempotencyKey = orders.NewID().String()
			placed, err := s.Orders.Place(t.Context(), []orders.Placement{p})
			if err != nil && proxy.cuts.Load() >= 0 {
				return err // the machine was too slow to get as far as the last
			}
			require.NoError(t, err)
			require.NoError(t, placed[0].Err)
			require.False(t, placed[0].Replayed, "it is this call that placed it")
			require.Equal(t, 1, count(t, pool, "SELECT count(*) FROM orders WHERE idempotency_key = '"+p.IdempotencyKey+"'"))
			return nil
		}))
	}
}

// While the database stays away the outcome of the commit is unknown, and the answer reports that.
func TestCommitUnknown(t *testing.T) {
	t.Parallel()
	pool, proxy := throughProxy(t, "")
	s := storetest.New(t, pool)
	p := storetest.Placement()
	p.IdempotencyKey = "k"
	proxy.deliver.Store(true)
	const cuts = 1000
	proxy.cuts.Store(cuts)
	for proxy.cuts.Load() == cuts { // again only if it was too slow to get as far as a commit
		_, err := s.Orders.Place(t.Context(), []orders.Placement{p})
		require.ErrorIs(t, err, store.ErrUnavailable)
	}

	proxy.cuts.Store(0)
	var placed []store.Placed
	require.NoError(t, again(func() (err error) {
		placed, err = s.Orders.Place(t.Context(), []orders.Placement{p})
		return err
	}))
	require.True(t, placed[0].Replayed, "it had been stored")
	require.Equal(t, 1, count(t, pool, "SELECT count(*) FROM orders"))
}

// TestCommitUnderWay cuts connections while the server is still committing, as it is when its standby is slow. A
// repeated call then waits for the first commit, in vain. However many callers shared it, no order is stored twice.
func TestCommitUnderWay(t *testing.T) {
	t.Parallel()
	pool, proxy := throughProxy(t, "")
	s := storetest.New(t, pool)
	_, err := pool.Exec(t.Context(), `
		CREATE TABLE standby (is_slow boolean);
		INSERT INTO standby VALUES (true);
		CREATE FUNCTION wait_for_standby() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			WHILE EXISTS (SELECT FROM standby WHERE is_slow) LOOP PERFORM pg_sleep(0.01); END LOOP;
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER wait_for_standby AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION wait_for_standby();`)
	require.NoError(t, err)

	proxy.deliver.Store(true)
	proxy.leave.Store(true)
	proxy.cuts.Store(1000)
	var callers sync.WaitGroup
	for i := range 12 {
		callers.Go(func() {
			p := storetest.Placement()
			p.CustomerID = fmt.Sprint("customer-", i)
			_, err := s.Orders.Place(t.Context(), []orders.Placement{p})
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("placed, or failed for another reason: %v", err)
			}
		})
	}
	callers.Wait()
	proxy.cuts.Store(0)
	_, err = pool.Exec(t.Context(), "DELETE FROM standby")
	require.NoError(t, err)
	eventually(t, func() bool {
		return count(t, pool, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL`) == 0
	})
	require.Zero(t, count(t, pool,
		"SELECT count(*) FROM (SELECT FROM orders GROUP BY customer_id HAVING count(*) > 1) twice"))
}
