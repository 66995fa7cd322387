package jobs

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// calm is up to how many orders a process carries while its own rings wake its workers. Beyond that the workers fetch
// often enough, and the notifications, which stand for many rings each, fetch more jobs at a time.
const calm = 64

// insertTopic is River's channel for new jobs.
const insertTopic = "river_insert"

// listeningDriver listens over connections of its own, such as direct ones beside a pooler, and hears the process's own
// rings.
type listeningDriver struct {
	gatedDriver

	listen *riverpgxv5.Driver
	near   *near
}

// GetListener implements riverdriver.Driver.
func (d listeningDriver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &nearListener{Listener: d.listen.GetListener(params), near: d.near}
}

// near wakes the workers of this process about jobs that it has inserted itself. A notification takes the way over
// Postgres, and waits for its turn at the doorbell.
type near struct {
	busy  *atomic.Int64 // orders that are being carried
	rings chan string   // queues
}

func newNear(busy *atomic.Int64) *near { return &near{busy: busy, rings: make(chan string, 16)} }

// ring announces new jobs. It never waits: the notification follows.
func (n *near) ring(queues []string) {
	if n.busy.Load() >= calm {
		return
	}
	for _, queue := range queues {
		if queue == "" {
			continue
		}
		select {
		case n.rings <- queue:
		default:
		}
	}
}

// nearListener adds the process's own rings to the notifications.
type nearListener struct {
	riverdriver.Listener

	near *near
	kept *riverdriver.Notification // arrived beside a ring
}

// WaitForNotification implements riverdriver.Listener. River never calls it twice at a time.
func (l *nearListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	if kept := l.kept; kept != nil {
		l.kept = nil
		return kept, nil
	}
	type answer struct {
		notification *riverdriver.Notification
		err          error
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	heard := make(chan answer, 1)
	go func() {
		notification, err := l.Listener.WaitForNotification(waiting)
		heard <- answer{notification, err}
	}()
	select {
	case a := <-heard:
		return a.notification, a.err
	case queue := <-l.near.rings:
		stop()
		a := <-heard // the connection is free again
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l.kept = a.notification // an error of the connection shows again in the next wait
		payload, err := json.Marshal(map[string]string{"queue": queue})
		return &riverdriver.Notification{Topic: insertTopic, Payload: string(payload)}, err
	}
}
