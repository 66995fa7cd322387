package api

import (
	"slices"

	"github.com/millrace-orders/millrace/auth/roles"
)

// permission is what an operation asks of its callers. Each operation declares one. Operations whose path has an {id}
// are about one order, and the order of another customer is hidden from a customer before the operation runs.
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

// audited reports whether the audit log hears of it. A shop's own services and customers act on their own behalf, and
// the order's history has it; where nobody is asked who they are, there is nobody to name.
func (p permission) audited(who Principal) bool {
	changes := p == permitChange || p == permitSettle || p == permitWebhookChange
	return changes && !who.IsDev() && (who.Role == roles.Admin || who.Role == roles.Operator)
}
