package api

import (
	"slices"
	"time"

	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
	"github.com/millrace-orders/millrace/trace"
)

// mostNotifications bounds the e-mails of an explanation, as store bounds the other belongings.
const mostNotifications = 20

// Belongings are what other parts of the system have of an order. Each list has at most 20 entries.
type Belongings struct {
	RequestID     string                  `json:"requestId,omitempty" maxLength:"64" example:"0199c8a4-3f5b-4c31-9d5e-2f6a8b1c4d7e" doc:"The id of the request that placed the order; absent if it is unknown"`
	TraceID       string                  `json:"traceId,omitempty" maxLength:"32" example:"4bf92f3577b34da6a3ce929d0e0e4736" doc:"The trace of that request, if it has one"`
	Webhooks      map[string]int64        `json:"webhooks" example:"{\"delivered\": 4}" doc:"Messages to webhooks, by state; at most 100 of each webhook are counted"`
	Messages      []ExplainedMessage      `json:"messages" doc:"The newest 20 messages to webhooks, newest first"`
	Notifications []ExplainedNotification `json:"notifications" doc:"Its newest 20 e-mails, oldest first"`
	Findings      []ExplainedFinding      `json:"findings" doc:"The newest 20 findings of reconciliation about its steps, newest first"`
	Audit         []ExplainedAudit        `json:"audit" doc:"The newest 20 entries of the audit log about it, newest first"`
}

// ExplainedMessage is a message to a webhook, with the latest attempt to send it.
type ExplainedMessage struct {
	MessageID     orders.ID  `json:"messageId" format:"uuid" example:"0199c8a4-5c1e-7a52-8e3f-6d7b9c2e4f80"`
	WebhookID     orders.ID  `json:"webhookId" format:"uuid" example:"0199c8a4-4b0d-7d41-9c2e-5a6b8d1f3e7c"`
	Type          string     `json:"type" example:"OrderStatusUpdated"`
	Version       int64      `json:"version" minimum:"1" example:"4" doc:"The order's version that it tells of"`
	State         string     `json:"state" example:"delivered"`
	Attempts      int        `json:"attempts" minimum:"0" example:"1"`
	Error         string     `json:"error,omitempty" example:"status 503" doc:"Why the latest attempt failed"`
	CreatedAt     time.Time  `json:"createdAt" example:"2026-11-22T12:00:01Z"`
	NextAttemptAt *time.Time `json:"nextAttemptAt,omitempty" example:"2026-11-22T12:00:31Z" doc:"While it is pending"`
}

// ExplainedNotification is an e-mail.
type ExplainedNotification struct {
	Generation int       `json:"generation" minimum:"1" example:"1"`
	State      string    `json:"state" example:"sent"`
	At         time.Time `json:"at" example:"2026-11-22T12:00:03Z" doc:"When it got this state"`
}

// ExplainedFinding is a finding of reconciliation.
type ExplainedFinding struct {
	Provider    string    `json:"provider" example:"payment"`
	Kind        string    `json:"kind" example:"late"`
	Key         string    `json:"key" example:"0199c8a4-3f5b-7c31-9d5e-2f6a8b1c4d7e:authorize_payment:1"`
	State       string    `json:"state" example:"open"`
	Detail      string    `json:"detail,omitempty" example:"the provider has an effect that no step has"`
	FirstSeenAt time.Time `json:"firstSeenAt" example:"2026-11-22T12:05:00Z"`
}

// ExplainedAudit is an entry of the audit log.
type ExplainedAudit struct {
	ID     int64     `json:"id" minimum:"1" example:"4711"`
	At     time.Time `json:"at" example:"2026-11-22T12:10:00Z"`
	Actor  string    `json:"actor" example:"7kq2mxw5a3fd"`
	Role   string    `json:"role,omitempty" example:"operator"`
	Action string    `json:"action" example:"settleOrder"`
}

func newBelongings(o orders.Order, found store.Belongings) *Belongings {
	b := &Belongings{
		RequestID: o.Origin.RequestID, TraceID: trace.IDOf(o.Origin.Traceparent),
		Webhooks: found.Deliveries, Messages: []ExplainedMessage{}, Notifications: []ExplainedNotification{},
		Findings: []ExplainedFinding{}, Audit: []ExplainedAudit{},
	}
	for _, m := range found.Messages {
		b.Messages = append(b.Messages, ExplainedMessage{
			MessageID: m.ID, WebhookID: m.Webhook, Type: m.EventType, Version: m.Version, State: string(m.State),
			Attempts: m.Attempts, Error: m.Error, CreatedAt: m.CreatedAt, NextAttemptAt: unlessZero(m.NextAttemptAt),
		})
	}
	mails := slices.DeleteFunc(slices.Clone(o.Steps), func(s orders.Step) bool { return s.Name != orders.SendEmail })
	for _, s := range mails[max(0, len(mails)-mostNotifications):] {
		n := ExplainedNotification{s.Generation, string(orders.NotificationStateOf(s.State, s.Reason)), s.StartedAt.UTC()}
		if !s.SettledAt.IsZero() {
			n.At = s.SettledAt.UTC()
		}
		b.Notifications = append(b.Notifications, n)
	}
	for _, f := range found.Findings {
		b.Findings = append(b.Findings, ExplainedFinding(f))
	}
	for _, e := range found.Audit {
		b.Audit = append(b.Audit, ExplainedAudit{e.ID, e.At, e.Name, string(e.Role), e.Action})
	}
	return b
}
