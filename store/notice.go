package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Notices are the messages to operators: to their webhooks, and by e-mail.
type Notices struct {
	*database

	deliveries *Deliveries
	mails      bool
}

const (
	noticeLock = 0x6d696c6c6e6f7465 // "millnote"
	// noticeAgain is the shortest time between two messages about one cause, however often the cause comes and goes.
	noticeAgain = time.Hour
	// noticesAnHour bounds the messages of all types. A cause that it holds back is told when there is room, if it lasts.
	noticesAnHour = 20
	// noticeTrust is how long a process must have been alive to call others lost. An outage of the database silences all.
	noticeTrust = 12 * time.Second
	// noticeGroups bounds the causes of orders that need attention.
	noticeGroups = 50
	// mailAttempts take about an hour, after which a mail about the same cause may follow.
	mailAttempts = 20
	// MaintenanceQueue is the River queue of periodic jobs and of mail to operators.
	MaintenanceQueue = "maintenance"
)

// NoticeBody makes the body of a message to webhooks.
type NoticeBody func(orders.OperatorNotice) string

// cause is a reason to tell operators something.
type cause struct{ name, message string }

// Look looks for orders that need attention, open breakers and lost processes, and tells operators of each cause once.
// The leader looks; without a leader all processes do, which is harmless. What is told is stored together with what
// prevents a second message.
func (s *Notices) Look(ctx context.Context, self string, body NoticeBody) (told []orders.OperatorNotice, err error) {
	turn, err := s.queries.NoticesTurn(ctx, s.db, &dbsqlc.NoticesTurnParams{
		Self: self, Silence: interval(silence), Trust: interval(noticeTrust),
	})
	if err != nil {
		return nil, fmt.Errorf("look for notices: %w", err)
	}
	if !turn.Mine {
		return nil, nil
	}
	err = s.inTx(ctx, func(ctx context.Context, tx pgx.Tx) error {
		told = nil
		if err := s.queries.NoticesLock(ctx, tx, noticeLock); err != nil {
			return err
		}
		for _, look := range []struct {
			kind   orders.NoticeType
			causes func(context.Context, pgx.Tx) ([]cause, error)
		}{
			{orders.NoticeNeedsAttention, s.attention},
			{orders.NoticeBreakerOpen, s.breakers},
			{orders.NoticeInstanceLost, s.silent},
		} {
			if look.kind == orders.NoticeInstanceLost && !turn.Trusted {
				continue
			}
			causes, err := look.causes(ctx, tx)
			if err != nil {
				return err
			}
			more, err := s.tell(ctx, tx, look.kind, causes, body)
			if err != nil {
				return err
			}
			told = append(told, more...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tell operators: %w", err)
	}
	return told, nil
}

// attention looks at the latest orders only: it runs every few seconds, and after an outage there may be a million.
func (s *Notices) attention(ctx context.Context, tx pgx.Tx) (list []cause, err error) {
	rows, err := s.queries.DeadLetterGroupsLatest(ctx, tx, &dbsqlc.DeadLetterGroupsLatestParams{
		Latest: LatestDeadLetters, Most: noticeGroups,
	})
	total := int64(0)
	for _, row := range rows {
		total += row.Orders
	}
	atLeast := ""
	if total >= LatestDeadLetters {
		atLeast = "at least "
	}
	for _, row := range rows {
		name := "unknown"
		if row.CauseStep != "" {
			name = orders.Cause{
				Step: orders.StepName(row.CauseStep), State: orders.StepState(row.CauseState), Code: row.CauseCode,
			}.String()
		}
		list = append(list, cause{name, fmt.Sprintf("Orders need an operator (%s%d now): %s.", atLeast, row.Orders, name)})
	}
	return list, err
}

func (s *Notices) breakers(ctx context.Context, tx pgx.Tx) (list []cause, err error) {
	rows, err := s.queries.BreakersOpen(ctx, tx, interval(silence))
	for _, row := range rows {
		list = append(list, cause{row.Name, fmt.Sprintf(
			"The provider %s fails, and is not called for now (processes with an open breaker: %d). Its orders wait.",
			row.Name, row.Processes)})
	}
	return list, err
}

func (s *Notices) silent(ctx context.Context, tx pgx.Tx) (list []cause, err error) {
	rows, err := s.queries.InstancesSilent(ctx, tx, interval(silence))
	for _, row := range rows {
		list = append(list, cause{row.ID, fmt.Sprintf(
			"The process %s has ended without saying so. Its last sign of life was at %s. Others take over its steps.",
			row.ID, row.HeartbeatAt.UTC().Format(time.RFC3339))})
	}
	return list, err
}

// violations tells operators of the violations of a verification.
func (s *Notices) violations(ctx context.Context, tx pgx.Tx, found []Violation, body NoticeBody) error {
	if err := s.queries.NoticesLock(ctx, tx, noticeLock); err != nil {
		return err
	}
	var list []cause
	for _, v := range found {
		list = append(list, cause{v.Check, fmt.Sprintf("The check %s found %d violations: %s", v.Check, v.Count, v.Means)})
	}
	_, err := s.tell(ctx, tx, orders.NoticeInvariantViolated, list, body)
	return err
}

// tell tells operators of those causes of a type that they do not know of. All causes of the type that hold must be
// given: the others have ended. The transaction must hold noticeLock.
func (s *Notices) tell(
	ctx context.Context, tx pgx.Tx, kind orders.NoticeType, causes []cause, body NoticeBody,
) ([]orders.OperatorNotice, error) {
	now := timestamp(s.now())
	since := now.Add(-noticeAgain)
	names := []string{}
	for _, c := range causes {
		names = append(names, c.name)
	}
	if err := s.queries.NoticesEnd(ctx, tx, &dbsqlc.NoticesEndParams{Type: string(kind), Causes: names}); err != nil {
		return nil, err
	}
	if err := s.queries.NoticesForget(ctx, tx, since); err != nil {
		return nil, err
	}
	count, err := s.queries.NoticesCount(ctx, tx, since)
	if err != nil {
		return nil, err
	}
	news, err := s.queries.NoticesTell(ctx, tx, &dbsqlc.NoticesTellParams{
		Type: string(kind), Causes: names, At: now, Since: since, Most: int32(max(noticesAnHour-count, 0)),
	})
	if err != nil {
		return nil, err
	}
	var told []orders.OperatorNotice
	for _, c := range causes {
		if slices.Contains(news, c.name) {
			told = append(told, orders.OperatorNotice{
				ID: orders.NewID(), Type: kind, Cause: c.name, Message: c.message, At: now,
			})
		}
	}
	return told, s.send(ctx, tx, kind, told, body)
}

// send makes the messages of one type.
func (s *Notices) send(
	ctx context.Context, tx pgx.Tx, kind orders.NoticeType, told []orders.OperatorNotice, body NoticeBody,
) error {
	if len(told) == 0 {
		return nil
	}
	webhooks, err := s.queries.WebhooksForOperators(ctx, tx, string(kind))
	if err != nil {
		return err
	}
	var list []newDelivery
	var mails []river.InsertManyParams
	for _, n := range told {
		for _, webhook := range webhooks {
			list = append(list, newDelivery{
				webhook: webhook, id: orders.NewID(), eventType: string(kind), body: body(n),
			})
		}
		mails = append(mails, river.InsertManyParams{Args: orders.OperatorMailJob{Notice: n}, InsertOpts: &river.InsertOpts{
			Queue: MaintenanceQueue, MaxAttempts: mailAttempts,
		}})
	}
	if _, err := s.deliveries.insert(ctx, tx, list); err != nil || !s.mails {
		return err
	}
	if _, err := s.jobs.InsertManyFastTx(ctx, tx, mails); err != nil {
		return fmt.Errorf("enqueue mail: %w", err)
	}
	return nil
}
