package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/auth"
	"github.com/millrace-orders/millrace/auth/roles"
	"github.com/millrace-orders/millrace/orders"
)

// Customers' streams do not name the shop's people, although both share a ring with the streams of the shop's people.
func TestStreamedEventIsDiscreet(t *testing.T) {
	t.Parallel()
	for role, named := range map[roles.Role]bool{roles.Customer: false, roles.Viewer: true} {
		reader := Principal{auth.Principal{Role: role}}
		data, err := encodeEvent(orders.Event{Principal: "7kq2mxw5a3fd"}, reader.isDiscreet())
		require.NoError(t, err)
		if named {
			require.Contains(t, string(data), "7kq2mxw5a3fd")
		} else {
			require.NotContains(t, string(data), "7kq2mxw5a3fd")
		}
	}
}
