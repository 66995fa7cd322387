// Package roles names the roles of callers. It imports nothing, so that store can keep the roles that auth and api use.
package roles

import "slices"

// Role is the set of things that a caller may do; docs/security.md has the table. api enforces it, and store only keeps
// it.
type Role string

// The roles.
const (
	Admin    Role = "admin"    // everything
	Operator Role = "operator" // reads everything, acts on jobs, cancels and refunds
	Viewer   Role = "viewer"   // reads everything
	Service  Role = "service"  // places, reads, cancels and refunds for any customer
	Customer Role = "customer" // the same for one customer
)

// All lists all roles.
func All() []Role { return []Role{Admin, Operator, Viewer, Service, Customer} }

// Known reports whether the role exists.
func (r Role) Known() bool { return slices.Contains(All(), r) }
