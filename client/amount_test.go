package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Amounts print as the server wrote them: with the decimals of their currency.
func TestAmountsPrintWithTheirDecimals(t *testing.T) {
	t.Parallel()
	for currency, amounts := range map[string][2]string{
		"USD": {"200.00", "0.00"}, "JPY": {"1500", "0"}, "KWD": {"1.250", "0.000"}, "CLF": {"0.0100", "0.0000"},
	} {
		order, err := misbehave(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, strings.NewReplacer("USD", currency, `"total":9007199254740993.01`, `"total":`+amounts[0],
				`"refunded":0.00`, `"refunded":`+amounts[1]).Replace(fakeOrder))
		}).Order(t.Context(), fakeID)
		require.NoError(t, err)
		require.Equal(t, amounts[0], order.Total.String())
		require.Equal(t, amounts[0]+" "+amounts[1], fmt.Sprintf("%s %v", order.Total, order.Refunded))
		require.Equal(t, amounts[0], order.Total.Sub(order.Refunded).String())
		require.Equal(t, amounts[1], order.Total.Sub(order.Total).String())
		asJSON, err := json.Marshal(order.Total)
		require.NoError(t, err)
		require.JSONEq(t, `"`+amounts[0]+`"`, string(asJSON))
	}
}

func TestAmount(t *testing.T) {
	t.Parallel()
	a, b := MustAmount("29.90"), MustAmount("0.1")
	require.Equal(t, "30.00", a.Add(b).String())
	require.Equal(t, "89.70", a.Times(3).String())
	require.True(t, a.Equal(MustAmount("29.9")))
	require.True(t, b.LessThan(a))
	require.True(t, a.GreaterThan(b))
	require.Equal(t, "1200", MustAmount("1.2e3").String())
	require.Equal(t, "0", Amount{}.String())
	_, err := ParseAmount("a")
	require.Error(t, err)
}
