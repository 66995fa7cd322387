package store

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store/dbsqlc"
)

// Bounds of what is looked up of an order's belongings.
const (
	mostWebhooks    = 1000
	mostMessages    = 100 // that are counted, about one order, to one webhook
	mostBelongings  = 20  // of a list
	mostFindingKeys = 200 // of steps
)

// Belongings is what other tables have of an order. Each list has at most 20 entries, the newest first.
type Belongings struct {
	Deliveries map[string]int64 // messages to webhooks, by state
	Messages   []Message
	Findings   []FindingName // of reconciliation
	Audit      []AuditEntry  // without their details
}

// Message is a message to a webhook, with the latest attempt to send it.
type Message struct {
	ID, Webhook   orders.ID
	EventType     string
	Version       int64 // of the order
	State         DeliveryState
	Attempts      int
	Status        int    // of the latest answer; 0: there was none
	Error         string // of the latest attempt
	CreatedAt     time.Time
	NextAttemptAt time.Time // while the message is pending
}

// FindingName names a finding, and says where it stands.
type FindingName struct {
	Provider, Kind, Key, State, Detail string
	FirstSeenAt                        time.Time
}

// Belongings reads what belongs to an order. All of it is looked up along indexes.
func (s *Orders) Belongings(ctx context.Context, o *orders.Order) (b Belongings, err error) {
	deliveries, err := s.queries.EvidenceDeliveries(ctx, s.db, &dbsqlc.EvidenceDeliveriesParams{
		OrderID: o.ID, MostWebhooks: mostWebhooks, MostEach: mostMessages,
	})
	if err != nil {
		return b, fmt.Errorf("count messages to webhooks: %w", err)
	}
	b.Deliveries = map[string]int64{}
	for _, row := range deliveries {
		b.Deliveries[row.State] = row.Deliveries
	}
	if len(deliveries) > 0 {
		if b.Messages, err = s.messages(ctx, o.ID); err != nil {
			return b, fmt.Errorf("read messages to webhooks: %w", err)
		}
	}
	params := &dbsqlc.EvidenceFindingsParams{Most: mostBelongings}
	for _, step := range o.Steps[max(0, len(o.Steps)-mostFindingKeys):] {
		spec, _ := step.Name.Spec()
		params.Providers = append(params.Providers, string(spec.Provider))
		params.Keys = append(params.Keys, orders.StepKey(o.ID, step.Name, step.KeyGeneration))
	}
	for _, kind := range orders.FindingKinds() {
		params.Kinds = append(params.Kinds, string(kind))
	}
	findings, err := s.queries.EvidenceFindings(ctx, s.db, params)
	if err != nil {
		return b, fmt.Errorf("read findings: %w", err)
	}
	for _, f := range findings {
		b.Findings = append(b.Findings, FindingName{f.Provider, f.Kind, f.Key, f.State, f.Detail, f.FirstSeenAt.UTC()})
	}
	entries, err := s.queries.EvidenceAudit(ctx, s.db, &dbsqlc.EvidenceAuditParams{
		Target: o.ID.String(), Most: mostBelongings,
	})
	if err != nil {
		return b, fmt.Errorf("read audit log: %w", err)
	}
	for _, e := range entries {
		b.Audit = append(b.Audit, AuditEntry{
			ID: e.ID, At: e.At.UTC(), Actor: Actor{Name: e.Actor, Role: roles.Role(e.Role)}, Action: e.Action,
		})
	}
	return b, nil
}

func (s *Orders) messages(ctx context.Context, id orders.ID) (list []Message, err error) {
	rows, err := s.queries.EvidenceMessages(ctx, s.db, &dbsqlc.EvidenceMessagesParams{
		OrderID: id, MostWebhooks: mostWebhooks, Most: mostBelongings,
	})
	for _, row := range rows {
		m := Message{
			ID: row.ID, Webhook: row.WebhookID, EventType: row.EventType, Version: row.Version,
			State: DeliveryState(row.State), Attempts: int(row.Attempts), Status: int(row.Status), Error: row.Error,
			CreatedAt: row.CreatedAt.UTC(),
		}
		if m.State == DeliveryPending {
			m.NextAttemptAt = row.NextAttemptAt.UTC()
		}
		list = append(list, m)
	}
	return list, err
}
