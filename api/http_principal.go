package api

import (
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Principal is the caller of an operation, and what of orders it may see and do.
type Principal struct{ auth.Principal }

// follows is whose events the principal gets if it asks for those of a customer; "" is everybody.
func (p Principal) follows(customerID string) (string, error) {
	if customerID == "" && p.Role == roles.Customer {
		customerID = p.CustomerID
	}
	if !p.Owns(customerID) {
		return "", errForbidden.Detailed("A customer follows orders of its own only: customerId must be its own.")
	}
	return customerID, nil
}

// restrict narrows a list to what the principal may see. false: that is nothing.
func (p Principal) restrict(f *store.Filter) bool {
	if f.CustomerID == "" && p.Role == roles.Customer {
		f.CustomerID = p.CustomerID
	}
	return p.Owns(f.CustomerID)
}

// checkPlacement refuses an order for somebody else.
func (p Principal) checkPlacement(placement *orders.Placement) error {
	if !p.Owns(placement.CustomerID) {
		return errForbidden.Detailed("A customer places orders of its own only: customerId must be its own.")
	}
	return nil
}

// may says whether the principal has a permission.
func (p Principal) may(needed permission) error {
	if !needed.includes(p.Role) {
		return errForbidden.Detailed("The role %q may not do this.", p.Role)
	}
	return nil
}
