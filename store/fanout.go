package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/millrace-orders/millrace/failpoint"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

const (
	fanOutLock     = 0x6d696c6c66616e6f // "millfano"
	fanOutCursor   = "webhooks"
	fanOutBatch    = 500  // events
	fanOutMessages = 5000 // plus at most those of one event
	dueBatch       = 500  // webhooks
	cursorAge      = time.Minute
)

// WebhookBody makes the body of a message about an event. previous is the id of the message before it, to the same
// webhook about the same order; zero if there is none.
type WebhookBody func(e orders.Event, customerID string, previous orders.ID) string

// FannedOut is the result of one FanOut.
type FannedOut struct {
	Events     []time.Time // when the events that were read happened
	Deliveries int64       // messages that were made of the events
	Jobs       int         // webhooks that were given a job
	More       bool        // more can be done at once
	Expired    error       // not nil: the log was pruned before it was read, so webhooks miss some events
	KeyEnded   []orders.ID // webhooks that were disabled because their key has ended
	Idle       bool        // there is no webhook to send to
	Soon       bool        // something is due for a webhook that will be free in a moment
}

// FanOut turns the events after the cursor into messages to the webhooks that want them, moves the cursor, and gives a
// job to each webhook for which something is due. All of it is one transaction, so each event is one message to each
// webhook, whatever crashes and when. One process fans out at a time; in the others FanOut does nothing.
func (s *Deliveries) FanOut(ctx context.Context, body WebhookBody) (FannedOut, error) {
	var out FannedOut
	var queues []string
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		out, queues = FannedOut{}, nil
		// An advisory lock, because a row lock would give the transaction an id. A transaction with an id holds up the feed,
		// here for as long as the log is read.
		if mine, err := s.queries.TakeTurn(ctx, tx, fanOutLock); err != nil || !mine {
			return err
		}
		f := fanOut{Deliveries: s, tx: tx, body: body, out: &out}
		if err := f.events(ctx); err != nil || out.Idle {
			return err
		}
		var err error
		queues, err = f.jobs(ctx)
		failpoint.Hit("fanout.before_commit")
		return err
	})
	if err != nil {
		return FannedOut{}, fmt.Errorf("fan out: %w", err)
	}
	failpoint.Hit("fanout.committed")
	if len(queues) > 0 {
		s.bell.RingQueues(queues)
	}
	return out, nil
}

// fanOut is one transaction of FanOut.
type fanOut struct {
	*Deliveries

	tx   pgx.Tx
	body WebhookBody
	out  *FannedOut
}

// events makes messages of events.
func (f *fanOut) events(ctx context.Context) error {
	from, err := f.queries.FeedCursorRead(ctx, f.tx, fanOutCursor)
	if errors.Is(err, pgx.ErrNoRows) {
		f.out.Idle = true // the cursor is made with the first webhook
		return nil
	}
	if err != nil {
		return err
	}
	log := f.log.within(f.tx)
	// First the end, then the webhooks: a webhook that is made in between hears of the events after this end.
	end, err := log.End(ctx)
	if err != nil {
		return err
	}
	if f.out.Idle, err = f.queries.WebhooksIdle(ctx, f.tx); err != nil {
		return err
	}
	limit := fanOutBatch
	if f.out.Idle {
		limit = 1 // enough to see whether there are events to skip
	}
	at := Cursor{Epoch: from.Epoch, Txid: from.Txid, ID: from.ID, At: from.At}
	entries, next, _, err := log.Read(ctx, at, LogFilter{}, limit)
	switch {
	case errors.Is(err, ErrCursorExpired):
		f.out.Expired, f.out.More = err, true
		if next, err = log.Start(ctx); from.At.After(next.At) {
			next.At = from.At // events from before were sent in the history that ended
		}
	case len(entries) > 0 && f.out.Idle:
		entries, next = nil, later(end, at) // a process that has just begun may see less than the one before it
	case len(entries) == 0 && next.At.Sub(from.At) < cursorAge:
		next = at // moving it now and then keeps it from growing old
	}
	if err != nil {
		return err
	}
	f.out.More = f.out.More || len(entries) == limit
	read, err := f.write(ctx, entries)
	if err != nil {
		return err
	}
	if read < len(entries) {
		next, f.out.More = entries[read-1].Cursor, true
	}
	if next == at {
		return nil
	}
	moved, err := f.queries.FeedCursorMove(ctx, f.tx, &dbsqlc.FeedCursorMoveParams{
		Name: fanOutCursor, Epoch: next.Epoch, Txid: next.Txid, ID: next.ID, At: timestamp(next.At),
		FromEpoch: from.Epoch, FromTxid: from.Txid, FromID: from.ID,
	})
	if err == nil && moved == 0 {
		err = errors.New("the cursor has moved in spite of the lock")
	}
	return err
}

// listening returns the webhooks that hear of the entries' orders, by customer. Webhooks for all customers are under
// the empty one.
func (f *fanOut) listening(ctx context.Context, entries []Entry) (map[string][]dbsqlc.WebhooksListeningRow, error) {
	customers := []string{""}
	for _, e := range entries {
		customers = append(customers, e.CustomerID)
	}
	slices.Sort(customers)
	rows, err := f.queries.WebhooksListening(ctx, f.tx, slices.Compact(customers))
	byCustomer := map[string][]dbsqlc.WebhooksListeningRow{}
	for _, w := range rows {
		byCustomer[w.CustomerID] = append(byCustomer[w.CustomerID], w)
	}
	return byCustomer, err
}

// write writes a message for each event and each webhook that wants it. A message names the one before it. read is
// the number of events that were handled: with many webhooks, some events are left to the next transaction.
func (f *fanOut) write(ctx context.Context, entries []Entry) (read int, err error) {
	if len(entries) == 0 {
		return 0, nil
	}
	byCustomer, err := f.listening(ctx, entries)
	if err != nil {
		return 0, err
	}
	type thread struct{ webhook, order orders.ID }
	type message struct {
		Entry
		thread
		id orders.ID
	}
	var messages []message
	last := map[thread]orders.ID{}
	var before dbsqlc.DeliveriesBeforeParams
	for _, e := range entries {
		if len(messages) >= fanOutMessages {
			break
		}
		read++
		f.out.Events = append(f.out.Events, e.At)
		for _, w := range slices.Concat(byCustomer[""], byCustomer[e.CustomerID]) {
			if !wants(w.EventTypes, string(e.Type())) {
				continue
			}
			m := message{Entry: e, thread: thread{w.ID, e.OrderID}, id: orders.NewID()}
			messages = append(messages, m)
			if _, ok := last[m.thread]; !ok {
				last[m.thread] = orders.ID{}
				before.WebhookIds = append(before.WebhookIds, w.ID)
				before.OrderIds = append(before.OrderIds, e.OrderID)
				before.Versions = append(before.Versions, e.Version)
			}
		}
	}
	if len(messages) == 0 {
		return read, nil
	}
	rows, err := f.queries.DeliveriesBefore(ctx, f.tx, &before)
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		last[thread{row.WebhookID, row.OrderID}] = row.ID
	}
	list := make([]newDelivery, len(messages))
	for i, m := range messages {
		list[i] = newDelivery{
			webhook: m.webhook, id: m.id, eventType: string(m.Type()), order: m.OrderID, version: m.Version,
			body: f.body(m.Event, m.CustomerID, last[m.thread]),
		}
		last[m.thread] = m.id
	}
	f.out.Deliveries, err = f.insert(ctx, f.tx, list)
	return read, err
}

// wants reports whether a webhook with these event types wants a message of a type.
func wants(types []string, eventType string) bool {
	return len(types) == 0 || slices.Contains(types, eventType)
}

// jobs gives a job to each webhook for which something is due, and returns the jobs' queues. A webhook has one job at a
// time, however long its queue is held up.
func (f *fanOut) jobs(ctx context.Context) (queues []string, err error) {
	now := timestamp(f.now())
	if f.out.KeyEnded, err = f.queries.WebhooksWithoutKey(ctx, f.tx, now); err != nil {
		return nil, err
	}
	due, err := f.queries.WebhooksDue(ctx, f.tx, &dbsqlc.WebhooksDueParams{At: now, BatchSize: dueBatch})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	params := make([]river.InsertManyParams, len(due))
	for i, w := range due {
		queue := orders.WebhookQueue
		if w.Failures > 0 {
			queue = orders.FailingWebhookQueue
		}
		if !slices.Contains(queues, queue) {
			queues = append(queues, queue)
		}
		job := orders.WebhookJob{WebhookID: w.ID, Owner: w.Owner}
		params[i] = river.InsertManyParams{Args: job, InsertOpts: &river.InsertOpts{
			Queue: queue, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
				rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
				rivertype.JobStateRunning, rivertype.JobStateScheduled,
			}},
		}}
	}
	inserted, err := f.database.jobs.InsertManyTx(ctx, f.tx, params)
	if err != nil {
		return nil, fmt.Errorf("enqueue jobs: %w", err)
	}
	var started []orders.ID
	for i, result := range inserted {
		if result.UniqueSkippedAsDuplicate && result.Job.State == rivertype.JobStateRunning {
			f.out.Soon = true // the running job is about to end, and has not seen what is new
			continue
		}
		started = append(started, due[i].ID)
	}
	f.out.Jobs, f.out.More = len(started), f.out.More || len(due) == dueBatch && len(started) > 0
	return queues, f.queries.WebhooksBusy(ctx, f.tx, &dbsqlc.WebhooksBusyParams{
		Ids: started, BusyUntil: now.Add(claimFor),
	})
}

// startCursor sets the fan-out's cursor to the end of the log, if there is no cursor yet.
func (s *Webhooks) startCursor(ctx context.Context) error {
	_, err := s.queries.FeedCursorRead(ctx, s.db, fanOutCursor)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	end, err := s.log.End(ctx)
	if err != nil {
		return err
	}
	return s.queries.FeedCursorStart(ctx, s.db, &dbsqlc.FeedCursorStartParams{
		Name: fanOutCursor, Epoch: end.Epoch, Txid: end.Txid, ID: end.ID, At: timestamp(end.At),
	})
}
