package jobs_test

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/store"
)

// A process that is killed at any moment loses nothing: what the receivers have is what the log has.
func TestWebhooksSurviveKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	o := newOutbox(t)
	var flaky atomic.Int64
	all := newReceiver(t, func(w http.ResponseWriter, _ received) {
		if flaky.Add(1)%11 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	o.webhook(all.URL)
	other := o.start() // two processes do the same work
	const n = 30
	ids := map[string]bool{}
	for i := range n {
		kill := o.start()
		ids[o.order("1").String()] = true
		if random.IntN(2) == 0 {
			kill()
		} else {
			defer kill()
		}
		if i == n/2 {
			other()
		}
		o.ahead.Add(int64(10 * time.Second)) // for the retries
	}
	o.start()
	complete := func() bool {
		o.ahead.Add(int64(30 * time.Second)) // claims of who was killed end
		got := map[string]map[int64]string{}
		for _, m := range all.messages() {
			if got[m.order] == nil {
				got[m.order] = map[int64]string{}
			}
			if id, ok := got[m.order][m.version]; ok && id != m.id {
				t.Errorf("version %d of %s has two ids", m.version, m.order)
			}
			got[m.order][m.version] = m.id
		}
		for id := range ids {
			if len(got[id]) != 7 {
				return false
			}
		}
		return len(got) == n
	}
	o.eventually("all messages", complete)
}

// A panic while a message is sent is a failure of that message: it ends neither the process nor the webhook's turns.
// The message is sent again.
func TestWebhookSenderPanics(t *testing.T) {
	t.Parallel()
	o := newOutbox(t)
	o.workers = 1
	var panics atomic.Int64
	o.signing = func() time.Time {
		if panics.Add(1) == 1 {
			panic("test")
		}
		return o.now()
	}
	r := newReceiver(t, nil)
	w := o.webhook(r.URL)
	o.start()
	o.order("ada")
	o.eventually("all messages", func() bool {
		o.ahead.Add(int64(time.Second)) // for the retry
		return len(r.messages()) >= 7
	})
	o.eventually("the attempts", func() bool { return o.read(w).Failures == 0 })
	list, err := o.store.Deliveries.List(t.Context(), shop, w.ID, store.DeliveryFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, 2, list[len(list)-1].Attempts)
}
