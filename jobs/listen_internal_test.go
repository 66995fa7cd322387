package jobs

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/riverqueue/river/riverdriver"
	"github.com/stretchr/testify/require"
)

// postgres stands for River's listener: it waits for what is sent to it.
type postgres struct {
	riverdriver.Listener

	sent    chan *riverdriver.Notification
	waiting chan struct{} // holds a token for each wait that has begun
}

func (p *postgres) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	p.waiting <- struct{}{}
	select {
	case n := <-p.sent:
		return n, nil
	case <-ctx.Done():
		select {
		case n := <-p.sent: // it arrived at the same moment
			return n, nil
		default:
			return nil, ctx.Err()
		}
	}
}

// TestNear has a process ring for itself, with and without notifications beside it, idle and busy.
func TestNear(t *testing.T) {
	t.Parallel()
	var busy atomic.Int64
	p := &postgres{sent: make(chan *riverdriver.Notification, 1), waiting: make(chan struct{}, 10)}
	l := &nearListener{Listener: p, near: newNear(&busy)}
	ring := &riverdriver.Notification{Topic: insertTopic, Payload: `{"queue":"carry_order"}`}

	go func() {
		<-p.waiting
		l.near.ring([]string{"", "carry_order"})
	}()
	heard, err := l.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.Equal(t, ring, heard)

	other := &riverdriver.Notification{Topic: "river_control", Payload: "{}"}
	p.sent <- other
	l.near.ring([]string{"carry_order"})
	first, err := l.WaitForNotification(t.Context())
	require.NoError(t, err)
	second, err := l.WaitForNotification(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []*riverdriver.Notification{ring, other}, []*riverdriver.Notification{first, second},
		"a notification beside a ring is not lost")

	busy.Store(calm)
	l.near.ring([]string{"carry_order"})
	require.Empty(t, l.near.rings, "a busy process leaves it to the notification")

	for range 100 {
		busy.Store(0)
		l.near.ring([]string{"carry_order"}) // it must not block
	}
	for len(l.near.rings) > 0 {
		<-l.near.rings
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = l.WaitForNotification(ended)
	require.ErrorIs(t, err, context.Canceled)
}
