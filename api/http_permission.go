package api

import (
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace-orders/millrace/auth/roles"
)

// permission is what an operation asks of whoever calls it. An operation that is declared as none of these is closed
// to everybody.
type permission string

const (
	permitAnyone        permission = "anyone"         // without any credential
	permitRead          permission = "read"           // orders and products; of orders a customer sees its own
	permitFollow        permission = "follow"         // the same, and a ticket will do
	permitPlace         permission = "place"          // orders; a customer places its own
	permitChange        permission = "change"         // an order that there is; a customer its own. Audited for operators
	permitSettle        permission = "settle"         // what needs a person. Audited
	permitObserve       permission = "observe"        // the system as a whole
	permitWebhooks      permission = "webhooks"       // to look at those of its own; an admin at all
	permitWebhookChange permission = "webhook_change" // likewise. Audited for operators
)

// permissions declares what each operation asks for: one line each. Operations whose path has an {id} are about one
// order, and the order of another customer is hidden from a customer before the operation runs.
func permissions() map[string]permission {
	return map[string]permission{
		opHealth:    permitAnyone,
		opLiveness:  permitAnyone,
		opReadiness: permitAnyone,

		opPlace:  permitPlace,
		opGet:    permitRead,
		opList:   permitRead,
		opEvents: permitFollow,
		opFeed:   permitFollow,
		opTicket: permitRead,
		opCancel: permitChange,
		opRefund: permitChange,
		opSettle: permitSettle,

		opDeadLetters:      permitObserve,
		opDeadLetterOrders: permitObserve,
		opRedrive:          permitSettle,

		opExport:         permitRead,
		opCustomerOrders: permitRead,
		opUserOrders:     permitRead,
		opInventory:      permitRead,
		opProduct:        permitRead,
		opNotifications:  permitRead,

		opStatus:         permitObserve,
		opMetrics:        permitObserve,
		opReconciliation: permitObserve,

		opListWebhooks:   permitWebhooks,
		opGetWebhook:     permitWebhooks,
		opListDeliveries: permitWebhooks,
		opGetDelivery:    permitWebhooks,
		opCreateWebhook:  permitWebhookChange,
		opUpdateWebhook:  permitWebhookChange,
		opDeleteWebhook:  permitWebhookChange,
		opRotateWebhook:  permitWebhookChange,
		opPingWebhook:    permitWebhookChange,
		opRedeliver:      permitWebhookChange,
		opRedeliverSince: permitWebhookChange,
	}
}

func (p permission) roles() []roles.Role {
	switch p {
	case permitAnyone, permitRead, permitFollow:
		return roles.All()
	case permitPlace:
		return []roles.Role{roles.Admin, roles.Service, roles.Customer}
	case permitChange, permitWebhooks, permitWebhookChange:
		return []roles.Role{roles.Admin, roles.Operator, roles.Service, roles.Customer}
	case permitSettle:
		return []roles.Role{roles.Admin, roles.Operator}
	case permitObserve:
		return []roles.Role{roles.Admin, roles.Operator, roles.Viewer}
	}
	return nil
}

func (p permission) includes(role roles.Role) bool { return slices.Contains(p.roles(), role) }

// audited says whether the audit log hears of it. A shop's own services and customers act on their own behalf, and
// the order's history has it; where nobody is asked who they are, there is nobody to name.
func (p permission) audited(who Principal) bool {
	changes := p == permitChange || p == permitSettle || p == permitWebhookChange
	return changes && !who.IsDev() && (who.Role == roles.Admin || who.Role == roles.Operator)
}

// documentRoles shows in the document who may call what.
func documentRoles(op *huma.Operation) {
	needed := permissions()[op.OperationID]
	if needed == permitAnyone {
		return
	}
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	op.Extensions["x-roles"] = needed.roles()
}
