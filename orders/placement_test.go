package orders_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestPlacementValidate(t *testing.T) {
	t.Parallel()
	wrongTotal := orders.Money(20998)
	tests := []struct {
		name   string
		change func(*orders.Placement)
		field  string
	}{
		{"OK", func(*orders.Placement) {}, ""},
		{"NoCustomer", func(p *orders.Placement) { p.CustomerID = "" }, "customerId"},
		{"LongCustomer", func(p *orders.Placement) { p.CustomerID = strings.Repeat("é", 201) }, "customerId"},
		{"NulInCustomer", func(p *orders.Placement) { p.CustomerID = "a\x00b" }, "customerId"},
		{"BadUTF8", func(p *orders.Placement) { p.PaymentMethod = "\xff" }, "paymentMethod"},
		{"Email", func(p *orders.Placement) { p.CustomerEmail = "ada.lovelace+shop@mail.example.com" }, ""},
		{"EmailWithName", func(p *orders.Placement) { p.CustomerEmail = "Ada <ada@example.com>" }, "customerEmail"},
		{"EmailInBrackets", func(p *orders.Placement) { p.CustomerEmail = "<ada@example.com>" }, "customerEmail"},
		{"EmailWithoutDomain", func(p *orders.Placement) { p.CustomerEmail = "ada" }, "customerEmail"},
		{"TwoEmails", func(p *orders.Placement) { p.CustomerEmail = "a@b.example, c@d.example" }, "customerEmail"},
		{"HeaderInEmail", func(p *orders.Placement) { p.CustomerEmail = "a@b.example\r\nBcc: c@d.example" }, "customerEmail"},
		{"NulInEmail", func(p *orders.Placement) { p.CustomerEmail = "a\x00@b.example" }, "customerEmail"},
		{"LongestEmail", func(p *orders.Placement) { p.CustomerEmail = strings.Repeat("a", 252) + "@b" }, ""},
		{"LongEmail", func(p *orders.Placement) { p.CustomerEmail = strings.Repeat("a", 253) + "@b" }, "customerEmail"},
		{"NoCurrency", func(p *orders.Placement) { p.Currency = "" }, "currency"},
		{"UnknownCurrency", func(p *orders.Placement) { p.Currency = "XYZ" }, "currency"},
		{"NoItems", func(p *orders.Placement) { p.Items = nil }, "items"},
		{"TooManyItems", func(p *orders.Placement) { p.Items = make([]orders.Item, 101) }, "items"},
		{"BadProduct", func(p *orders.Placement) { p.Items[1].ProductID = 0 }, "items[1].productId"},
		{"NoQuantity", func(p *orders.Placement) { p.Items[0].Quantity = 0 }, "items[0].quantity"},
		{"NegativePrice", func(p *orders.Placement) { p.Items[0].Price = -1 }, "items[0].price"},
		{"Overflow", func(p *orders.Placement) { p.Items[0].Price = orders.MaxMoney }, "items"},
		{"WrongTotal", func(p *orders.Placement) { p.Total = &wrongTotal }, "total"},
		{"AddressWithoutCity", func(p *orders.Placement) {
			p.ShippingAddress = &orders.Address{Line1: "1 Main St", Country: "US"}
		}, "shippingAddress.city"},
		{"BadCountry", func(p *orders.Placement) {
			p.ShippingAddress = &orders.Address{Line1: "1 Main St", City: "Springfield", Country: "usa"}
		}, "shippingAddress.country"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := placement()
			tt.change(&p)
			err := p.Validate()
			if tt.field == "" {
				require.NoError(t, err)
				return
			}
			var invalid *orders.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, tt.field, invalid.Fields[0].Field)
		})
	}
}

func TestPlacementFingerprint(t *testing.T) {
	t.Parallel()
	base := placement()
	total := base.Sum()
	// A request that is repeated after an upgrade must have the fingerprint that it had before.
	require.Equal(t, "96fb5d441100eb1981312402053741bf99a97e9c87affb3f704f604ce4514b36",
		hex.EncodeToString(base.Fingerprint()))

	withEmail := placement()
	withEmail.CustomerEmail = "ada@example.com"
	require.Equal(t, "7da78a3b5cb47e41e100fc9f81e0c98921f9079bcc48164eb8ea61e930c7f3e1",
		hex.EncodeToString(withEmail.Fingerprint()))

	same := placement()
	same.IdempotencyKey, same.Total = "key", &total // neither changes the order that is made
	require.Equal(t, base.Fingerprint(), same.Fingerprint())

	for _, change := range []func(*orders.Placement){
		func(p *orders.Placement) { p.CustomerID = "2" },
		func(p *orders.Placement) { p.Currency = "EUR" },
		func(p *orders.Placement) { p.Items[0].Quantity++ },
		func(p *orders.Placement) { p.Items[0].Price++ },
		func(p *orders.Placement) { p.PaymentMethod = "card" },
		func(p *orders.Placement) { p.CustomerEmail = "eve@example.com" },
		func(p *orders.Placement) { p.ShippingAddress = new(orders.Address) },
	} {
		other := placement()
		change(&other)
		require.NotEqual(t, base.Fingerprint(), other.Fingerprint())
	}
}
