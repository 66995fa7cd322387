package orders_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-orders/millrace/orders"
)

func TestCurrencyParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		currency orders.Currency
		text     string
		want     orders.Money
		err      string
	}{
		{"USD", "29.99", 2999, ""},
		{"USD", "0", 0, ""},
		{"USD", "0.1", 10, ""},
		{"USD", "10.50000", 1050, ""},
		{"USD", "1.005", 0, "at most 2 decimals"},
		{"JPY", "500", 500, ""},
		{"JPY", "500.0", 500, ""},
		{"JPY", "0.5", 0, "at most 0 decimals"},
		{"KWD", "1.234", 1234, ""},
		{"USD", "90071992547409.91", orders.MaxMoney, ""},
		{"USD", "90071992547409.92", 0, "too large"},
		{"USD", "99999999999999999999", 0, "too large"},
		{"USD", "", 0, "plain"},
		{"USD", ".5", 0, "plain"},
		{"USD", "5.", 0, "plain"},
		{"USD", "-1", 0, "plain"},
		{"USD", "+1", 0, "plain"},
		{"USD", "1e3", 0, "plain"},
		{"USD", "0x10", 0, "plain"},
		{"USD", "1_000", 0, "plain"},
		{"USD", "١", 0, "plain"},
	}
	for _, tt := range tests {
		t.Run(string(tt.currency)+" "+tt.text, func(t *testing.T) {
			t.Parallel()
			got, err := tt.currency.Parse(tt.text)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestCurrencyFormat(t *testing.T) {
	t.Parallel()
	require.Equal(t, "29.99", orders.USD.Format(2999))
	require.Equal(t, "0.05", orders.USD.Format(5))
	require.Equal(t, "-0.05", orders.USD.Format(-5))
	require.Equal(t, "500", orders.Currency("JPY").Format(500))
	require.Equal(t, "1.234", orders.Currency("KWD").Format(1234))
}

func TestCurrencyValid(t *testing.T) {
	t.Parallel()
	for _, c := range []orders.Currency{"USD", "EUR", "JPY", "KWD"} {
		require.True(t, c.Valid(), c)
	}
	for _, c := range []orders.Currency{"", "usd", "US", "USDX", "XTS", "D A", "AED AFN"} {
		require.False(t, c.Valid(), c)
	}
}

// FuzzCurrencyParse: whatever is read comes back as the same amount, and nothing else is read.
func FuzzCurrencyParse(f *testing.F) {
	f.Add("29.99", 0)
	f.Add("1.234", 1)
	f.Add("500", 2)
	f.Fuzz(func(t *testing.T, text string, which int) {
		currency := []orders.Currency{"USD", "KWD", "JPY"}[uint(which)%3]
		m, err := currency.Parse(text)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, m, orders.Money(0))
		require.LessOrEqual(t, m, orders.MaxMoney)
		again, err := currency.Parse(currency.Format(m))
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

func TestExpand(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"210": "210", "210.0": "210.0", "2.1e2": "210", "2.1E+2": "210", "20997e-2": "209.97", "5e-2": "0.05", "5e-1": "0.5",
		"5e-5": "0.00005", "1.005e1": "10.05", "0e9": "0000000000", "12.5e0": "12.5",
		"1e100": "1e100", "1e-100": "1e-100", "1e99999999999": "1e99999999999", "-1e2": "-1e2", "e2": "e2", "1.e2": "1.e2",
		"1e": "1e", "": "", "1e2e2": "1e2e2",
	} {
		require.Equal(t, want, orders.Expand(number), number)
	}
	money, err := orders.USD.Parse(orders.Expand("2.1e2"))
	require.NoError(t, err)
	require.Equal(t, orders.Money(21000), money)
}
