package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Deliveries are the messages to webhooks.
type Deliveries struct {
	*database

	log      *Log
	webhooks *Webhooks
}

// DeliveryState is the state of a delivery.
type DeliveryState string

// A failed delivery used up its attempts. A blocked one was not sent, because its address may not be sent to.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"
	DeliveryBlocked   DeliveryState = "blocked"
)

// DeliveryStates lists all states.
func DeliveryStates() []DeliveryState {
	return []DeliveryState{DeliveryPending, DeliveryDelivered, DeliveryFailed, DeliveryBlocked}
}

// Delivery is one message to one webhook. Its id is the message's webhook-id, and its body never changes.
type Delivery struct {
	ID            orders.ID
	EventType     string
	OrderID       orders.ID // zero: the message is not about an order
	Version       int64     // of the order
	Body          string
	State         DeliveryState
	Attempts      int
	GiveUpAt      int       // the number of the last attempt
	NextAttemptAt time.Time // while the delivery is pending
	CreatedAt     time.Time
	FinishedAt    time.Time     // zero while the delivery is pending
	Origin        orders.Origin // of the order; only of deliveries that were taken

	// Log has the attempts, newest first. In a list of deliveries it has the latest attempt only.
	Log []Attempt
}

// Attempt is one send of a message.
type Attempt struct {
	Number   int // 1, 2, 3 …
	At       time.Time
	Took     time.Duration
	Status   int    // of the answer; 0: there was no answer
	Error    string // empty: delivered
	Response string // the beginning of the answer
}

// attemptsShown bounds the log of a message that is sent again and again.
const attemptsShown = 100

// DeliveryFilter selects a webhook's deliveries, newest first.
type DeliveryFilter struct {
	State  DeliveryState // empty: all
	Before orders.ID     // only deliveries made before this one
	Limit  int
}

// List lists a webhook's deliveries. Error: ErrWebhookNotFound.
func (s *Deliveries) List(ctx context.Context, o Owner, webhook orders.ID, f DeliveryFilter) ([]Delivery, error) {
	if _, err := s.webhooks.get(ctx, s.db, o, webhook); err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	if f.Before == (orders.ID{}) {
		f.Before = lastID()
	}
	var rows []dbsqlc.WebhookDelivery
	var err error
	if f.State == "" {
		rows, err = s.queries.DeliveriesList(ctx, s.db, &dbsqlc.DeliveriesListParams{
			WebhookID: webhook, Before: f.Before, PageSize: int32(f.Limit),
		})
	} else {
		rows, err = s.queries.DeliveriesListByState(ctx, s.db, &dbsqlc.DeliveriesListByStateParams{
			WebhookID: webhook, State: string(f.State), Before: f.Before, PageSize: int32(f.Limit),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	list, ids := make([]Delivery, len(rows)), make([]orders.ID, len(rows))
	for i, row := range rows {
		list[i], ids[i] = decodeDelivery(row), row.ID
	}
	last, err := s.queries.AttemptsLast(ctx, s.db, &dbsqlc.AttemptsLastParams{WebhookID: webhook, DeliveryIds: ids})
	if err != nil {
		return nil, fmt.Errorf("list attempts: %w", err)
	}
	for _, row := range last {
		i := slices.Index(ids, row.DeliveryID)
		list[i].Log = []Attempt{decodeAttempt(row)}
	}
	return list, nil
}

// Get reads a delivery with its attempts. Errors: ErrWebhookNotFound, ErrDeliveryNotFound.
func (s *Deliveries) Get(ctx context.Context, o Owner, webhook, id orders.ID) (Delivery, error) {
	if _, err := s.webhooks.get(ctx, s.db, o, webhook); err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	row, err := s.queries.DeliveryRead(ctx, s.db, &dbsqlc.DeliveryReadParams{WebhookID: webhook, ID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return Delivery{}, ErrDeliveryNotFound
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("read delivery: %w", err)
	}
	log, err := s.queries.AttemptsList(ctx, s.db, &dbsqlc.AttemptsListParams{
		WebhookID: webhook, DeliveryID: id, PageSize: attemptsShown,
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("list attempts: %w", err)
	}
	d := decodeDelivery(row)
	for _, row := range log {
		d.Log = append(d.Log, decodeAttempt(row))
	}
	return d, nil
}

// Notify sends a message that is not about an order to a webhook that is enabled.
//
// Errors: ErrWebhookNotFound, ErrWebhookDisabled.
func (s *Deliveries) Notify(
	ctx context.Context, o Owner, webhook orders.ID, eventType, body string,
) (Delivery, error) {
	now := timestamp(s.now())
	d := Delivery{
		ID: orders.NewID(), EventType: eventType, Body: body, State: DeliveryPending, GiveUpAt: orders.WebhookAttempts,
		NextAttemptAt: now, CreatedAt: now,
	}
	err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		row, err := s.webhooks.get(ctx, tx, o, webhook)
		switch {
		case err != nil:
			return err
		case row.State != string(WebhookEnabled):
			return ErrWebhookDisabled
		}
		_, err = s.insert(ctx, tx, []newDelivery{{webhook: webhook, id: d.ID, eventType: eventType, body: body}})
		return err
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("notify webhook: %w", err)
	}
	return d, nil
}

// Purge deletes the deliveries that were finished before a moment, and the rows that deleted webhooks left.
func (s *Deliveries) Purge(ctx context.Context, before time.Time) error {
	limit := pgtype.Timestamptz{Time: before, Valid: true}
	for _, purge := range []func(context.Context, pgx.Tx) (int64, error){
		func(ctx context.Context, tx pgx.Tx) (int64, error) {
			return s.queries.DeliveriesPurge(ctx, tx, &dbsqlc.DeliveriesPurgeParams{Before: limit, BatchSize: purgeBatch})
		},
		func(ctx context.Context, tx pgx.Tx) (int64, error) {
			return s.queries.DeliveriesPurgeDeleted(ctx, tx, &dbsqlc.DeliveriesPurgeDeletedParams{
				Before: before, Below: firstID(before.Add(idSlack)), BatchSize: purgeBatch,
			})
		},
		func(ctx context.Context, tx pgx.Tx) (int64, error) {
			return 0, s.queries.WebhooksPurge(ctx, tx)
		},
	} {
		for n := int64(purgeBatch); n == purgeBatch; {
			err := s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
				n, err = purge(ctx, tx)
				return err
			})
			if err != nil {
				return fmt.Errorf("purge deliveries: %w", err)
			}
		}
	}
	return nil
}

// newDelivery is a delivery to insert.
type newDelivery struct {
	webhook, id orders.ID
	eventType   string
	order       orders.ID
	version     int64
	body        string
}

// insert writes deliveries. It leaves out a message about an event that its webhook already has.
func (s *Deliveries) insert(ctx context.Context, tx pgx.Tx, list []newDelivery) (int64, error) {
	if len(list) == 0 {
		return 0, nil
	}
	p := &dbsqlc.DeliveriesInsertParams{GiveUpAt: orders.WebhookAttempts, At: timestamp(s.now())}
	for _, d := range list {
		p.Ids = append(p.Ids, d.id)
		p.WebhookIds = append(p.WebhookIds, d.webhook)
		p.EventTypes = append(p.EventTypes, d.eventType)
		p.OrderIds = append(p.OrderIds, d.order)
		p.Versions = append(p.Versions, d.version)
		p.Bodies = append(p.Bodies, d.body)
	}
	return s.queries.DeliveriesInsert(ctx, tx, p)
}

func decodeDelivery(row dbsqlc.WebhookDelivery) Delivery {
	return Delivery{
		ID: row.ID, EventType: row.EventType, OrderID: row.OrderID, Version: row.Version, Body: row.Body,
		State: DeliveryState(row.State), Attempts: int(row.Attempts), GiveUpAt: int(row.GiveUpAt),
		NextAttemptAt: row.NextAttemptAt.UTC(), CreatedAt: row.CreatedAt.UTC(), FinishedAt: row.FinishedAt.Time.UTC(),
	}
}

func decodeAttempt(row dbsqlc.WebhookAttempt) Attempt {
	return Attempt{
		Number: int(row.Attempt), At: row.At.UTC(), Took: time.Duration(row.DurationMs) * time.Millisecond,
		Status: int(row.Status), Error: row.Error, Response: row.Response,
	}
}
