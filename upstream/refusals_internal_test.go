package upstream

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// A provider that makes up a new code for each refusal makes no new series for each.
func TestRefusalCodesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRefusals()
	for i := range 3 * refusalCodes {
		r.count("capture_payment", fmt.Sprintf("code_%d", i))
		r.count("capture_payment", "code_0")
	}
	require.Equal(t, refusalCodes+1, testutil.CollectAndCount(r.total))
	require.InDelta(t, 3*refusalCodes+1, testutil.ToFloat64(r.total.WithLabelValues("capture_payment", "code_0")), 0)
	require.InDelta(t, 2*refusalCodes, testutil.ToFloat64(r.total.WithLabelValues("capture_payment", otherCode)), 0)
}
