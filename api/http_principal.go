package api

import (
	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
	"github.com/millrace-orders/millrace/store"
)

// Principal is the caller of an operation. Its methods decide what the caller may see and do.
type Principal struct{ auth.Principal }

// follows returns the customer whose events the principal gets if it asks for those of customerID; "" is all customers.
func (p Principal) follows(customerID string) (string, error) {
	if customerID == "" && p.Role == roles.Customer {
		customerID = p.CustomerID
	}
	if !p.Owns(customerID) {
		return "", errForbidden.Detailed("A customer can only follow its own orders: customerId must be its own.")
	}
	return customerID, nil
}

// restrict narrows a list to the orders that the principal may see, and reports whether it may see any.
func (p Principal) restrict(f *store.Filter) bool {
	if f.CustomerID == "" && p.Role == roles.Customer {
		f.CustomerID = p.CustomerID
	}
	return p.Owns(f.CustomerID)
}

// checkPlacement refuses an order for another customer.
func (p Principal) checkPlacement(placement *orders.Placement) error {
	if !p.Owns(placement.CustomerID) {
		return errForbidden.Detailed("A customer can only place its own orders: customerId must be its own.")
	}
	return nil
}

// may returns an error unless the principal has a permission.
func (p Principal) may(needed permission) error {
	if !needed.includes(p.Role) {
		return errForbidden.Detailed("The role %q may not do this.", p.Role)
	}
	return nil
}
