package stream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// entries are n events of a customer's orders after a transaction.
func entries(after uint64, customer string, n int) (list []store.Entry) {
	for i := range n {
		list = append(list, store.Entry{
			Event: orders.Event{OrderID: orders.ID{1}}, CustomerID: customer,
			Cursor: store.Cursor{Epoch: 1, Txid: after + uint64(i) + 1, ID: 1},
		})
	}
	return list
}

// Customers do not see the names of the shop's people, although they share the ring with readers that do.
func TestItemIsDiscreet(t *testing.T) {
	t.Parallel()
	item := newItem(store.Entry{Event: orders.Event{Principal: "7kq2mxw5a3fd"}}, encode)
	for _, discreet := range []bool{true, false, true} {
		var b bytes.Buffer
		require.NoError(t, item.writeTo(&b, "1", discreet))
		require.Equal(t, !discreet, strings.Contains(b.String(), "7kq2mxw5a3fd"))
	}
}

// encode encodes no more than an event's actor.
func encode(e orders.Event, discreet bool) ([]byte, error) {
	if discreet {
		return []byte(`""`), nil
	}
	return json.Marshal(e.Principal)
}

func TestHub(t *testing.T) {
	t.Parallel()
	setup := func() (h *hub, all, one, idle *Listener) {
		h = newHub(encode)
		return h, h.listen(Topic{}), h.listen(Topic{Order: orders.ID{1}}), h.listen(Topic{Customer: "idle"})
	}
	woken := func(l *Listener) bool {
		select {
		case <-l.wake:
			return true
		default:
			return false
		}
	}
	takeAll := func(t *testing.T, l *Listener) (txids []uint64) {
		t.Helper()
		for woken(l) {
			taken, ok := l.take()
			require.True(t, ok)
			require.LessOrEqual(t, len(taken), takeSize)
			for _, n := range taken {
				txids = append(txids, n.Cursor.Txid)
			}
		}
		return txids
	}

	t.Run("Everything", func(t *testing.T) {
		t.Parallel()
		h, all, one, idle := setup()
		h.follow(entries(0, "1", 150))
		_, ok := all.reached()
		require.False(t, ok, "it has not taken anything")
		h.follow(entries(150, "1", 100))
		for _, l := range []*Listener{all, one} {
			txids := takeAll(t, l)
			require.Len(t, txids, 250)
			for i, txid := range txids {
				require.Equal(t, uint64(i)+1, txid)
			}
		}
		require.False(t, woken(idle))
		at, ok := idle.reached()
		require.True(t, ok)
		require.Equal(t, uint64(250), at.Txid, "it has missed nothing up to there")
	})

	t.Run("TooSlow", func(t *testing.T) {
		t.Parallel()
		h, all, one, idle := setup()
		h.follow(entries(0, "1", ringSize))
		require.Len(t, takeAll(t, one), ringSize)
		h.follow(entries(ringSize, "1", 1))
		_, ok := all.take()
		require.False(t, ok, "the first is gone")
		require.Len(t, takeAll(t, one), 1)
		h.follow(entries(ringSize+1, "idle", 1))
		require.Len(t, takeAll(t, idle), 1, "one whom nothing concerned has not fallen behind")
		require.NotEmpty(t, takeAll(t, all), "from here on it is current again")
	})

	t.Run("AnotherHistory", func(t *testing.T) {
		t.Parallel()
		h, all, _, idle := setup()
		h.follow(entries(100, "1", 3))
		require.Len(t, takeAll(t, all), 3)
		h.follow(entries(50, "1", 1))
		for _, l := range []*Listener{all, idle} {
			require.True(t, woken(l))
			_, ok := l.take()
			require.False(t, ok, "the log has to tell")
		}
	})

	t.Run("WithoutListeners", func(t *testing.T) {
		t.Parallel()
		h, all, one, idle := setup()
		all.Close()
		one.Close()
		h.follow(entries(0, "1", 10))
		require.Zero(t, h.next, "nothing is kept")
		idle.Close()
		require.Empty(t, h.listeners)
	})
}

// TestAtRest has a listener hear only of the event after which its order is at rest.
func TestAtRest(t *testing.T) {
	t.Parallel()
	h := newHub(encode)
	l := h.listen(Topic{Order: orders.ID{1}, AtRest: true})
	defer l.Close()
	list := entries(0, "", 3)
	list[0].Status, list[1].Status, list[2].Status = orders.Processing, orders.Completed, orders.Completed
	list[2].OrderID = orders.ID{2}
	h.follow(list[:1])
	require.Empty(t, l.wake)
	h.follow(list[1:])
	require.Len(t, l.wake, 1)
	taken, ok := l.take()
	require.True(t, ok)
	require.Len(t, taken, 1)
}
