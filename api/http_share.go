package api

import (
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/stream"
)

// share returns the principal as a holder of what callers share. While the server is open it has no name.
func (p Principal) share() stream.Holder {
	if p.IsDev() {
		return stream.Holder{}
	}
	return stream.Holder{Name: "principal " + p.Name}
}

// follower returns the holder that an event stream counts for beside the principal: with a ticket that a service
// made for a customer, that customer.
func (p Principal) follower(most int) stream.Holder {
	if p.IsDev() || most < 0 {
		return stream.Holder{}
	}
	return stream.Holder{Name: "follower " + p.Name + "\x00" + p.CustomerID, Most: most}
}

// isDiscreet reports whether the principal is not told which of the shop's people did something.
func (p Principal) isDiscreet() bool { return p.Role == roles.Customer }
