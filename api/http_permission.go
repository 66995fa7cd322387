package api

import (
	"slices"
	"strings"

	"github.com/millrace-orders/millrace/auth/roles"
)

// permission is the right that an operation requires of its callers. Each operation declares one. An operation whose
// path has an {id} is about one order. Other customers' orders are hidden from a customer before the operation runs.
type permission string

const (
	permitAnyone        permission = "anyone"         // without any credential
	permitRead          permission = "read"           // read orders; a customer sees its own
	permitFollow        permission = "follow"         // the same, also with a ticket
	permitBrowse        permission = "browse"         // read what belongs to no customer, such as products
	permitPlace         permission = "place"          // place orders; a customer for itself only
	permitChange        permission = "change"         // change an order; a customer its own only. Audited for operators
	permitSettle        permission = "settle"         // settle orders that need attention. Audited
	permitOperate       permission = "operate"        // pull levers. The store audits it, together with the change
	permitObserve       permission = "observe"        // read the state of the whole system
	permitWebhooks      permission = "webhooks"       // read its own webhooks; an admin reads all
	permitWebhookChange permission = "webhook_change" // change them, likewise. Audited for operators
)

func (p permission) roles() []roles.Role {
	switch p {
	case permitAnyone, permitRead, permitFollow, permitBrowse:
		return roles.All()
	case permitPlace:
		return []roles.Role{roles.Admin, roles.Service, roles.Customer}
	case permitChange, permitWebhooks, permitWebhookChange:
		return []roles.Role{roles.Admin, roles.Operator, roles.Service, roles.Customer}
	case permitSettle, permitOperate:
		return []roles.Role{roles.Admin, roles.Operator}
	case permitObserve:
		return []roles.Role{roles.Admin, roles.Operator, roles.Viewer}
	}
	return nil
}

// own returns the roles to which the permission gives only what is theirs.
func (p permission) own() []roles.Role {
	switch p {
	case permitRead, permitFollow, permitPlace, permitChange:
		return []roles.Role{roles.Customer}
	case permitWebhooks, permitWebhookChange:
		return []roles.Role{roles.Operator, roles.Service, roles.Customer}
	case permitAnyone, permitBrowse, permitSettle, permitOperate, permitObserve:
	}
	return nil
}

func (p permission) includes(role roles.Role) bool { return slices.Contains(p.roles(), role) }

// audited reports whether the request goes into the audit log. A shop's own services and customers act for themselves,
// and the order's history has their requests. On an open server there is no principal to name.
func (p permission) audited(who Principal) bool {
	changes := p == permitChange || p == permitSettle || p == permitWebhookChange
	return changes && !who.IsDev() && (who.Role == roles.Admin || who.Role == roles.Operator)
}

// cells returns what each role may do, as cells of a table.
func (p permission) cells() string {
	var b strings.Builder
	for _, role := range roles.All() {
		switch {
		case slices.Contains(p.own(), role):
			b.WriteString(" own |")
		case p.includes(role):
			b.WriteString(" yes |")
		default:
			b.WriteString(" |")
		}
	}
	return b.String()
}

// refusalAudited reports whether it goes into the audit log that a known caller was refused: all changes that operators
// may make do.
func (p permission) refusalAudited(who Principal) bool {
	changes := p == permitChange || p == permitSettle || p == permitWebhookChange || p == permitOperate
	return changes && !who.IsDev()
}
